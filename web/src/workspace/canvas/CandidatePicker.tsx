/** The candidate masks of an ambiguous click, as pictures to choose from. */

import { X } from "lucide-react";
import { useMemo } from "react";
import { frameUrl } from "../../api/client";
import type { Candidate } from "../../api/types";
import { traceBitmap } from "../../lib/contour";
import { decodeRle } from "../../lib/rle";
import { IconButton, Kbd } from "../../ui/kit";
import * as actions from "../model/actions";
import { selectedObject, useWorkspace } from "../model/store";

export function CandidatePicker() {
  const choice = useWorkspace((state) => state.candidates);
  const object = useWorkspace(selectedObject);
  const compare = useWorkspace((state) => state.compare);
  const bounds = useMemo(() => choice && boundsOf(choice.list), [choice]);
  if (!choice || !bounds || choice.list.length < 2 || compare) return null;
  return (
    <div className="floating candidates" role="radiogroup" aria-label="Choose the mask you meant">
      <span className="candidates__label">
        Which mask? <Kbd>G</Kbd>
      </span>
      {choice.list.map((candidate, i) => (
        // biome-ignore lint/a11y/useSemanticElements: buttons with pictures that behave as radios, as WAI-ARIA describes
        <button
          // biome-ignore lint/suspicious/noArrayIndexKey: candidates have no other name
          key={i}
          type="button"
          role="radio"
          aria-checked={i === choice.chosen}
          aria-label={`Suggestion ${i + 1}, confidence ${Math.round(candidate.confidence * 100)} %`}
          className="candidate"
          onClick={() => actions.chooseCandidate(i)}
        >
          <CandidatePicture
            candidate={candidate}
            bounds={bounds}
            frame={choice.frame}
            color={object?.color ?? "var(--accent)"}
          />
          <span className="num">{Math.round(candidate.confidence * 100)} %</span>
        </button>
      ))}
      <IconButton small icon={X} label="Keep this mask" onClick={actions.dismissCandidates} />
    </div>
  );
}

/** Return x, y, width and height of the part of the picture with all candidates, and a margin. */
function boundsOf(candidates: readonly Candidate[]): readonly [number, number, number, number] {
  const [height, width] = candidates[0].rle.size;
  const stride = strideOf(width, height);
  let [x0, y0, x1, y1] = [width, height, 0, 0];
  for (const { rle } of candidates) {
    const bitmap = decodeRle(rle, stride);
    bitmap.data.forEach((value, i) => {
      if (!value) return;
      const x = (i % bitmap.width) * stride;
      const y = Math.floor(i / bitmap.width) * stride;
      [x0, y0, x1, y1] = [Math.min(x0, x), Math.min(y0, y), Math.max(x1, x), Math.max(y1, y)];
    });
  }
  if (x0 > x1) return [0, 0, width, height];
  const margin = 0.15 * Math.max(x1 - x0, y1 - y0);
  const [left, top] = [Math.max(0, x0 - margin), Math.max(0, y0 - margin)];
  return [left, top, Math.min(width, x1 + margin) - left, Math.min(height, y1 + margin) - top];
}

const strideOf = (width: number, height: number): number => Math.max(1, Math.floor(Math.max(width, height) / 200));

function CandidatePicture(props: {
  candidate: Candidate;
  bounds: readonly [number, number, number, number];
  frame: number;
  color: string;
}) {
  const { candidate, bounds, frame, color } = props;
  const mid = useWorkspace((state) => state.medium?.id ?? "");
  const [height, width] = candidate.rle.size;
  const outline = useMemo(() => {
    const stride = strideOf(width, height);
    return traceBitmap(decodeRle(candidate.rle, stride))
      .map((loop) => {
        const points: string[] = [];
        for (let i = 0; i < loop.length; i += 2) points.push(`${loop[i] * stride} ${loop[i + 1] * stride}`);
        return `M${points.join("L")}Z`;
      })
      .join("");
  }, [candidate, width, height]);
  return (
    <svg className="candidate__picture" viewBox={bounds.join(" ")} aria-hidden="true">
      <image
        href={frameUrl(mid, frame, 320)}
        width={width}
        height={height}
        opacity={0.75}
        onError={(event) => event.currentTarget.setAttribute("visibility", "hidden")} // the server is away
      />
      <path
        d={outline}
        fill={color}
        fillOpacity={0.6}
        stroke={color}
        strokeWidth={Math.max(bounds[2], bounds[3]) / 40}
        fillRule="evenodd"
      />
    </svg>
  );
}
