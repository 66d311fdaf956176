"""`strongest` against AutoAttack's reference code, counted in passes, on networks trained here."""
