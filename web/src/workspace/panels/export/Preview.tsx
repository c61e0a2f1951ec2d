import { type CSSProperties, useEffect, useRef, useState } from "react";
import * as api from "../../../api/client";
import type { Composition, Medium } from "../../../api/types";
import { messageOf } from "../../../lib/text";
import { Spinner } from "../../../ui/kit";
import { useWorkspace } from "../../model/store";

const PREVIEW_WIDTH = 960;

/** A frame with the effects, as the export will have it. */
export function Preview({ composition, medium, ready }: { composition: Composition; medium: Medium; ready: boolean }) {
  const frame = useWorkspace((state) => state.frame);
  const [shownFrame, setShownFrame] = useState(frame);
  const [url, setUrl] = useState<string | null>(null);
  const [error, setError] = useState<string | null>(null);
  const [busy, setBusy] = useState(false);
  const shown = useRef<string | null>(null);

  useEffect(() => {
    if (!ready) return;
    const abort = new AbortController();
    // A slider sends many values: wait for the one it rests on.
    const timer = setTimeout(() => {
      setBusy(true);
      api
        .getPreview(medium.id, shownFrame, composition, Math.min(PREVIEW_WIDTH, medium.width), abort.signal)
        .then(
          (blob) => {
            if (shown.current) URL.revokeObjectURL(shown.current);
            shown.current = URL.createObjectURL(blob);
            setUrl(shown.current);
            setError(null);
          },
          (problem: unknown) => {
            if (!api.isAbort(problem)) setError(messageOf(problem));
          },
        )
        .finally(() => {
          if (!abort.signal.aborted) setBusy(false);
        });
    }, 120);
    return () => {
      clearTimeout(timer);
      abort.abort();
    };
  }, [composition, shownFrame, medium, ready]);

  useEffect(
    () => () => {
      if (shown.current) URL.revokeObjectURL(shown.current);
    },
    [],
  );

  return (
    <figure className="preview">
      <div className="preview__picture" style={{ "--ratio": medium.width / medium.height } as CSSProperties}>
        {url && <img src={url} alt="Preview" />}
        {ready && !error && !url && (
          <p className="preview__text preview__text--busy">
            <Spinner label="Making a preview" /> Making a preview…
          </p>
        )}
        {ready && !error && url && busy && (
          <span className="preview__busy">
            <Spinner label="Making a preview" />
          </span>
        )}
        {!ready && <p className="preview__text">Choose a file for the background.</p>}
        {error && ready && (
          <p className="preview__text" role="alert">
            {error}
          </p>
        )}
      </div>
      {medium.num_frames > 1 && (
        <input
          className="slider"
          type="range"
          min={0}
          max={medium.num_frames - 1}
          value={shownFrame}
          aria-label="Frame of the preview"
          onChange={(event) => setShownFrame(Number(event.currentTarget.value))}
        />
      )}
    </figure>
  );
}
