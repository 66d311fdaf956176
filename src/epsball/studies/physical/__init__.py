"""Study `physical`: which adversarial images survive print and photograph?"""
