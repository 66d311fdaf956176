"""Study `transfer`: do adversarial images made on one model fool others?"""
