"""What files of other programs have in common: JSON checked step by step, a guard around readers, names of files.

Knows nothing of images, masks or formats.
"""
