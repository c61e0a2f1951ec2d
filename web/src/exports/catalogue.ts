import { useEffect, useState } from "react";
import * as api from "../api/client";
import type { FormatCatalogue } from "../api/types";
import { toastError } from "../state/app";

let catalogue: Promise<FormatCatalogue> | null = null;

/** Return what the server can export, import and render; null until it has said so. Asked once per page. */
export function useCatalogue(): FormatCatalogue | null {
  const [formats, setFormats] = useState<FormatCatalogue | null>(null);
  useEffect(() => {
    catalogue ??= api.getFormats();
    catalogue.then(setFormats, (error: unknown) => {
      catalogue = null;
      toastError(error);
    });
  }, []);
  return formats;
}
