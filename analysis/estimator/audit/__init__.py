"""Does this comparison deserve a verdict?"""
