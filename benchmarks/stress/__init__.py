"""What breaks tracking, one failure a clip: generated clips with exact masks, and a table of policies against failures.

    python -m benchmarks.stress --policies official,reliable --model nano --out out/stress

Objects and scenery are real: cut-outs and backgrounds from photographs (`materials`), moved and filmed by a small
renderer (`film`), in the situations that users of SAM 2 name as its limits (`scenes`). `run` tracks, `judge` measures,
`report` prints and draws.
"""
