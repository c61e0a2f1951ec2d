import { Film, Image as ImageIcon } from "lucide-react";
import { Dialog } from "../ui/kit";

/** Asks whether several images are separate, or the frames of one video. */
export function SequenceDialog(props: {
  numImages: number;
  onClose: () => void;
  onChoose: (as: "auto" | "sequence") => void;
}) {
  return (
    <Dialog title={`Add ${props.numImages} images as`} onClose={props.onClose}>
      <div className="dialog__body choice">
        <button type="button" className="choice__option" onClick={() => props.onChoose("auto")}>
          <ImageIcon size={22} strokeWidth={1.5} aria-hidden />
          <span>
            <strong>Separate images</strong>
            <small>Each image is worked on by itself</small>
          </span>
        </button>
        <button type="button" className="choice__option" onClick={() => props.onChoose("sequence")}>
          <Film size={22} strokeWidth={1.5} aria-hidden />
          <span>
            <strong>One video</strong>
            <small>The images are its frames, in the order of their names</small>
          </span>
        </button>
      </div>
    </Dialog>
  );
}
