import { Wifi, WifiOff } from "lucide-react";
import { useApp } from "../state/app";

/** Says that the server cannot be reached, and when it can again. It moves nothing and lets clicks through. */
export function ConnectionBanner() {
  const online = useApp((state) => state.online);
  const justBack = useApp((state) => state.justBack);
  if (online && !justBack) return null;
  return (
    <div className={online ? "banner banner--ok" : "banner"} role="status">
      {online ? <Wifi size={15} aria-hidden /> : <WifiOff size={15} aria-hidden />}
      {online
        ? "Connected again."
        : "The server cannot be reached. Keep working: your changes are kept here and saved when it is back."}
    </div>
  );
}
