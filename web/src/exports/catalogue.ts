import { useEffect, useState } from "react";
import * as api from "../api/client";
import type { FormatCatalogue } from "../api/types";
import { toastError } from "../state/app";

let catalogue: Promise<FormatCatalogue> | null = null;

/** Return the server's formats and effects; null until they are loaded, which happens once per page. */
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
