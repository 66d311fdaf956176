"""Study `confidence-bands`: are images that a model is less sure of easier to attack?"""
