"""Measures: each stage of an engine, whole commands, and other implementations for comparison.

Contestants take turns, what is reported is the median, and the first of a table is what the others are compared with,
in time and in what they answer. Wall time says what a user waits on this machine at this moment; processor time also
means something where other programs take their share.
"""
