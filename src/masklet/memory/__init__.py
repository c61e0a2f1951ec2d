"""Memories of an object in a video, and the choice of those that are read for the next frame.

`bank` holds the memories of one object: which frames, in which slots, within which bounds. `policies` are the rules on
which opinions differ: which tracked frames are read, which candidate mask is the object, and which frames are worth
remembering. `MemoryConfig` (in `bank`) selects a policy and has the settings that all of them share.

Everything here is integers, scores and opaque handles: no engine, no video and, but for low-res masks that policies
look at, no arrays.
"""
