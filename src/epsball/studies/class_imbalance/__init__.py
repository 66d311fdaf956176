"""Study `class-imbalance`: is a rare class easier to attack?"""
