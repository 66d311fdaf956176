"""Study `label-efficient`: which images are worth their labels?"""
