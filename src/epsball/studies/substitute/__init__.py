"""Study `substitute`: how many labels does it take to fool a model that one can only ask?"""
