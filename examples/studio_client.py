"""What the studio's page does, from Python: upload a clip, click on an object, track it, export the masks.

Start a server first: `masklet serve`. Then: `python examples/studio_client.py examples/media/bunny.mp4 427,240`.
A token, where the server asks for one, is taken from MASKLET_TOKEN.
"""

import argparse
import os

from masklet.server.client import Studio


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("video")
    parser.add_argument("click", help="X,Y on the object, in pixels of the first frame")
    parser.add_argument("--address", default="http://127.0.0.1:8100", help="where the server is")
    parser.add_argument("--out", default="out/", help="a folder")
    options = parser.parse_args(arguments)

    studio = Studio(options.address, token=os.environ.get("MASKLET_TOKEN"))
    project = studio.create_project("From Python")
    clip = studio.upload(project, options.video)[0]
    print(f"{clip.about['name']}: {clip.about['num_frames']} frames of {clip.about['width']} x {clip.about['height']}")

    # A single click may mean a part, the whole or a group: three candidates, the most likely one first.
    x, y = (float(part) for part in options.click.split(","))
    found = clip.create_object("first object")
    for rank, (mask, iou) in enumerate(clip.prompt(found, 0, points_xy=[(x, y)])):
        print(f"candidate {rank}: {mask.sum()} pixels, the model rates it {iou:.2f}")

    # Masks come as they are tracked, and are kept by the server as they come.
    for frame in clip.track("forward"):
        states = ", ".join(f"{one['object_id']} {one['status']}" for one in frame["objects"])
        print(f"\rframe {frame['frame_index']}: {states}", end="", flush=True)
    print()

    for hint in clip.suggestions(3):
        print(f"look at frame {hint['frame_index']}: {hint['reason']}")
    print("wrote", clip.export("coco", options.out))


if __name__ == "__main__":
    main()
