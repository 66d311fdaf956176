"""Study `fooling`: are images that mean nothing to people named with confidence?"""
