"""The model in the page and the one in Python are the same graphs: they give the same masks."""

from __future__ import annotations

import cv2
import numpy as np
from playwright.sync_api import Page

import masklet
from serving import Server

from .conftest import MEDIA, STATIC
from .studio_page import add_files, medium_id, new_project, open_medium

POINT = (230.0, 300.0)

ASK = """
async ({ worker: url, size, point, frame, embedding }) => {
  const worker = new Worker(url, { type: "module" });
  const answers = [];
  const next = () => new Promise((resolve, reject) => {
    worker.onmessage = (event) => resolve(event.data);
    worker.onerror = (event) => reject(new Error(event.message));
  });
  const say = (message, transfer = []) => {
    const answer = next();
    worker.postMessage(message, transfer);
    return answer;
  };
  const { graphs, image_size, manifest } = await (await fetch("/api/v1/graphs")).json();
  const { max_hole: maxHole, max_piece: maxPiece } = manifest.spec;
  const full = (path) => new URL(path, location.href).href;
  const opened = await say({
    kind: "open", decodeUrl: full(graphs.decode), encodeUrl: full(graphs.encode_image), imageSize: image_size,
    tidiness: { maxHole, maxPiece },
  });
  const [width, height] = size;
  const bytes = await (await fetch(embedding)).arrayBuffer();
  const bitmap = await createImageBitmap(await (await fetch(frame)).blob());
  const request = { points: [point], labels: [1], box: null };
  await say({ kind: "embedding", key: "server", bytes, width, height }, [bytes]);
  const fromServer = await say({ kind: "decode", id: 1, key: "server", request });
  await say({ kind: "encode", key: "page", bitmap, width, height }, [bitmap]);
  const fromPage = await say({ kind: "decode", id: 2, key: "page", request });
  const plain = (answer) => ({ side: answer.side, loops: answer.masks[0].loops.map((loop) => [...loop]) });
  worker.terminate();
  return { opened, fromServer: plain(fromServer), fromPage: plain(fromPage) };
}
"""


def test_page_and_python_give_the_same_mask(page: Page, server: Server) -> None:
    new_project(page, server.address, "Decoder")
    add_files(page, MEDIA / "astronaut.jpg")
    open_medium(page, "astronaut.jpg")
    mid = medium_id(page)
    worker = next((STATIC / "assets").glob("worker-*.js"))
    answers = page.evaluate(
        ASK,
        {
            "worker": f"/assets/{worker.name}",
            "size": [512, 512],
            "point": list(POINT),
            "frame": f"/api/v1/media/{mid}/frames/0.jpg",
            "embedding": f"/api/v1/media/{mid}/frames/0/embedding",
        },
    )
    assert answers["opened"]["kind"] == "opened", answers["opened"]

    image = masklet.load().segmenter().set_image(MEDIA / "astronaut.jpg")
    result = image.predict(points_xy=[POINT], labels=[1])
    expected = result.masks[int(np.argmax(result.iou_predictions))]

    assert iou(drawn(answers["fromServer"]), expected) > 0.97
    # The page squares the picture with the canvas's filter and from a JPEG: near, not equal.
    assert iou(drawn(answers["fromPage"]), expected) > 0.9


def drawn(answer: dict[str, object]) -> np.ndarray:
    """Outlines on the grid of logits, filled at the size of the picture."""
    canvas = np.zeros((512, 512), np.uint8)
    scale = 512 / float(str(answer["side"]))
    loops = [np.array(loop, np.float64).reshape(-1, 2) * scale for loop in answer["loops"]]  # type: ignore[attr-defined]
    cv2.fillPoly(canvas, [np.round(loop).astype(np.int32) for loop in loops], 1)
    return canvas.astype(bool)


def iou(a: np.ndarray, b: np.ndarray) -> float:
    return float((a & b).sum() / (a | b).sum())
