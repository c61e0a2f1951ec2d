import { Search, X } from "lucide-react";
import { useEffect, useState } from "react";
import type { ClassCount } from "../api/types";
import { EVERYTHING, isFiltered, type ListView, SORT_NAMES, SORTS } from "../lib/mediaList";
import { Button, IconButton } from "../ui/kit";

const TYPING_MS = 250;

/** Search, filters and order of a project's media. */
export function MediaFilters(props: {
  view: ListView;
  classes: readonly ClassCount[];
  onChange: (changes: Partial<ListView>) => void;
}) {
  const { view, classes, onChange } = props;
  return (
    <search className="filters">
      <SearchField key={`${view.trash}`} value={view.search} onChange={(search) => onChange({ search })} />
      <select
        className="input"
        aria-label="Kind of file"
        value={view.kind ?? ""}
        onChange={(event) => onChange({ kind: (event.currentTarget.value || null) as ListView["kind"] })}
      >
        <option value="">Photos and videos</option>
        <option value="image">Photos</option>
        <option value="video">Videos</option>
      </select>
      {(classes.length > 0 || view.className !== null) && (
        <select
          className="input"
          aria-label="Class"
          value={view.className === null ? "*" : `=${view.className}`}
          onChange={(event) => {
            const chosen = event.currentTarget.value;
            onChange({ className: chosen === "*" ? null : chosen.slice(1) });
          }}
        >
          <option value="*">All classes</option>
          {classes.map(({ name, num_media }) => (
            <option key={name} value={`=${name}`}>
              {`${name || "Objects without a class"} (${num_media.toLocaleString("en")})`}
            </option>
          ))}
          {view.className !== null && !classes.some(({ name }) => name === view.className) && (
            <option value={`=${view.className}`}>{view.className}</option>
          )}
        </select>
      )}
      <select
        className="input"
        aria-label="Order"
        value={view.sort}
        onChange={(event) => onChange({ sort: event.currentTarget.value as ListView["sort"] })}
      >
        {SORTS.map((sort) => (
          <option key={sort} value={sort}>
            {SORT_NAMES[sort]}
          </option>
        ))}
      </select>
      {isFiltered(view) && (
        <Button
          variant="ghost"
          icon={X}
          onClick={() => onChange({ ...EVERYTHING, trash: view.trash, sort: view.sort })}
        >
          Clear filters
        </Button>
      )}
    </search>
  );
}

/** Searches once the typing has stopped for a moment. */
function SearchField({ value, onChange }: { value: string; onChange: (search: string) => void }) {
  const [typed, setTyped] = useState(value);
  useEffect(() => setTyped(value), [value]);
  // biome-ignore lint/correctness/useExhaustiveDependencies: only typing starts a search
  useEffect(() => {
    if (typed === value) return;
    const timer = setTimeout(() => onChange(typed), TYPING_MS);
    return () => clearTimeout(timer);
  }, [typed]);
  return (
    <div className="search">
      <Search className="search__icon" size={14} aria-hidden />
      <input
        className="input search__input"
        type="search"
        aria-label="Search by name"
        placeholder="Search by name"
        maxLength={200}
        value={typed}
        onChange={(event) => setTyped(event.currentTarget.value)}
        onKeyDown={(event) => {
          if (event.key === "Enter") onChange(typed);
        }}
      />
      {typed && (
        <IconButton
          small
          className="search__clear"
          icon={X}
          label="Clear the search"
          onClick={() => {
            setTyped("");
            onChange("");
          }}
        />
      )}
    </div>
  );
}
