"""Images and video: sources in, writers out.

Knows files, folders, cameras, network streams and stacks of slices; orientation, colour, time stamps and sound. Every
source delivers upright RGB frames with their number and time (`open_source`); writers take pictures (`VideoWriter`,
`GifWriter`, `write_image`). Must not know models, prompts or tracking; masks are pixels to it like any others.
"""
