"""Images and video: sources and writers.

Handles files, folders, cameras, network streams and stacks of slices; orientation, colour, time stamps and sound. Every
source yields upright RGB frames with their number and time (`open_source`); writers take pictures (`VideoWriter`,
`GifWriter`, `write_image`). Knows nothing of models, prompts or tracking; masks are ordinary pixels here.
"""
