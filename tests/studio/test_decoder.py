"""The model in the page and the one in Python are the same graphs: they give the same masks."""

from __future__ import annotations

import cv2
import numpy as np
from playwright.sync_api import Page

import masklet
from masklet.masks.operations import mask_logits
from masklet.masks.rle import decode_rle
from tests.serving import Server

from .conftest import MEDIA, STATIC
from .studio_page import medium_id, open_photo

POINT = (230.0, 300.0)
MORE = (60.0, 380.0)
FACE = (225.0, 120.0)

ASK = """
async ({ worker: url, size, point, more, face, frame, embedding }) => {
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
  const { max_hole: maxHole, max_piece: maxPiece, stability_threshold: stability } = manifest.spec;
  const full = (path) => new URL(path, location.href).href;
  const opened = await say({
    kind: "open", decodeUrl: full(graphs.decode), encodeUrl: full(graphs.encode_image), imageSize: image_size,
    tidiness: { maxHole, maxPiece }, stability,
  });
  const [width, height] = size;
  const bytes = await (await fetch(embedding)).arrayBuffer();
  const bitmap = await createImageBitmap(await (await fetch(frame)).blob());
  const request = { points: [point], labels: [1], box: null, candidate: null, previous: null, mask: null };
  const corrected = { ...request, points: [point, more], labels: [1, 0], previous: request };
  await say({ kind: "embedding", key: "server", bytes, width, height }, [bytes]);
  const fromServer = await say({ kind: "decode", id: 1, key: "server", request, fullSize: true });
  const correction = await say({ kind: "decode", id: 2, key: "server", request: corrected, fullSize: true });
  const onMask = { ...request, points: [face], mask: fromServer.masks[0].fullSize.rle };
  const fromMask = await say({ kind: "decode", id: 3, key: "server", request: onMask, fullSize: true });
  await say({ kind: "encode", key: "page", bitmap, width, height }, [bitmap]);
  const fromPage = await say({ kind: "decode", id: 4, key: "page", request, fullSize: false });
  const plain = (answer) => ({
    side: answer.side, loops: answer.masks[0].loops.map((loop) => [...loop]), fullSize: answer.masks[0].fullSize?.rle,
  });
  worker.terminate();
  const [a, b, c, d] = [fromServer, correction, fromMask, fromPage].map(plain);
  return { opened, fromServer: a, correction: b, fromMask: c, fromPage: d };
}
"""


def test_page_and_python_give_the_same_mask(page: Page, server: Server) -> None:
    open_photo(page, server.address, "Decoder", MEDIA / "astronaut.jpg")
    mid = medium_id(page)
    worker = next((STATIC / "assets").glob("worker-*.js"))
    answers = page.evaluate(
        ASK,
        {
            "worker": f"/assets/{worker.name}",
            "size": [512, 512],
            "point": list(POINT),
            "more": list(MORE),
            "face": list(FACE),
            "frame": f"/api/v1/media/{mid}/frames/0.jpg",
            "embedding": f"/api/v1/media/{mid}/frames/0/embedding",
        },
    )
    assert answers["opened"]["kind"] == "opened", answers["opened"]

    image = masklet.load().segmenter().set_image(MEDIA / "astronaut.jpg")
    result = image.predict(points_xy=[POINT], labels=[1])
    expected = result.masks[int(np.argmax(result.iou_predictions))]
    assert iou(drawn(answers["fromServer"]), expected) > 0.97
    assert iou(decode_rle(answers["fromServer"]["fullSize"]), expected) > 0.999
    # The page squares the picture with the canvas's filter and from a JPEG: near, not equal.
    assert iou(drawn(answers["fromPage"]), expected) > 0.9

    before = result.low_res_logits[int(np.argmax(result.iou_predictions))]
    told = {"points_xy": [POINT, MORE], "labels": [1, 0], "multimask": False}
    corrected = image.predict(**told, previous_logits=before).masks[0]
    assert iou(decode_rle(answers["correction"]["fullSize"]), corrected) > 0.995
    assert iou(corrected, image.predict(**told).masks[0]) < 0.99, "what was corrected made no difference"

    # Two candidates are about as good here: which comes first depends on how the mask is made smaller.
    added = image.predict(points_xy=[FACE], labels=[1], previous_logits=mask_logits(expected, before.shape[0])).masks
    assert max(iou(decode_rle(answers["fromMask"]["fullSize"]), mask) for mask in added) > 0.95


def drawn(answer: dict[str, object]) -> np.ndarray:
    """Outlines on the grid of logits, filled at the size of the picture."""
    canvas = np.zeros((512, 512), np.uint8)
    scale = 512 / float(str(answer["side"]))
    loops = [np.array(loop, np.float64).reshape(-1, 2) * scale for loop in answer["loops"]]  # type: ignore[attr-defined]
    cv2.fillPoly(canvas, [np.round(loop).astype(np.int32) for loop in loops], 1)
    return canvas.astype(bool)


def iou(a: np.ndarray, b: np.ndarray) -> float:
    return float((a & b).sum() / (a | b).sum())
