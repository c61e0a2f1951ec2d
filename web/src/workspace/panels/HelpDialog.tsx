import { Dialog, Keys } from "../../ui/kit";
import { SHORTCUTS } from "./shortcuts";

const STEPS = [
  ["Click", "an object to get its mask. A click on a missing part adds it; a right-click removes a part."],
  ["Track", "it through the video, forwards and backwards."],
  ["Review", "the frames that need it (F). Correct with a click or the brush, update, then accept (A)."],
  ["Export", "a cut-out, a video with effects, or masks and boxes for training."],
] as const;

export function HelpDialog({ onClose }: { onClose: () => void }) {
  return (
    <Dialog title="Help" size="medium" onClose={onClose}>
      <div className="dialog__body help">
        <ol className="help__steps">
          {STEPS.map(([name, text]) => (
            <li key={name}>
              <strong>{name}</strong> {text}
            </li>
          ))}
        </ol>
        <div className="help__groups">
          {SHORTCUTS.map((group) => (
            <section key={group.title}>
              <h3 className="help__title">{group.title}</h3>
              <dl className="help__list">
                {group.items.map((item) => (
                  <div key={`${item.keys}${item.what}`} className="help__item">
                    <dt>
                      {item.keys.split(", ").map((keys) => (
                        <Keys key={keys} keys={keys} />
                      ))}
                    </dt>
                    <dd>{item.what}</dd>
                  </div>
                ))}
              </dl>
            </section>
          ))}
        </div>
      </div>
    </Dialog>
  );
}
