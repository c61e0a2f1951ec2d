/** Confidence out of a model's IoU predictions, as `masklet.engine.calibration` computes it. */

import type { Box, Point } from "../api/types";

/** Ascending inputs and an output in [0, 1] for each; values in between are interpolated. */
interface Curve {
  readonly inputs: readonly number[];
  readonly outputs: readonly number[];
}

/** One curve per stage; a stage without one takes the IoU prediction as it is. */
export type Calibration = Readonly<Record<string, Curve>>;

/** Return what a mask is decoded from. */
export function stageOf(prompt: { readonly points: readonly Point[]; readonly box: Box | null }): string {
  if (prompt.box) return "box";
  return prompt.points.length === 1 ? "click" : "clicks";
}

/** Return the expected IoU of a mask, 0 to 1. */
export function confidenceOf(iouPrediction: number, calibration: Calibration, stage: string): number {
  const curve = calibration[stage];
  return curve ? interpolate(curve, iouPrediction) : Math.min(1, Math.max(0, iouPrediction));
}

/** Interpolate linearly; beyond the ends, the output of the nearest end. */
function interpolate({ inputs, outputs }: Curve, value: number): number {
  const after = inputs.findIndex((input) => input > value);
  if (after < 0) return outputs[outputs.length - 1];
  if (after === 0) return outputs[0];
  const [x0, x1] = [inputs[after - 1], inputs[after]];
  const t = (value - x0) / (x1 - x0);
  return outputs[after - 1] + t * (outputs[after] - outputs[after - 1]);
}
