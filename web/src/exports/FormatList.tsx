import type { Format } from "../api/types";

/** A list of formats with one selected. */
export function FormatList(props: { formats: readonly Format[]; id: string; onChoose: (id: string) => void }) {
  return (
    <ul className="formats" aria-label="Formats">
      {props.formats.map((format) => (
        <li key={format.id}>
          <button
            type="button"
            className="format"
            aria-pressed={format.id === props.id}
            onClick={() => props.onChoose(format.id)}
          >
            <strong>{format.name}</strong>
            <span>{format.description}</span>
          </button>
        </li>
      ))}
    </ul>
  );
}
