import { Sparkles } from "lucide-react";
import { Button } from "../../ui/kit";
import * as actions from "../model/actions";

/** Starts the search for objects without prompts. */
export function FindEverything() {
  return (
    <Button
      wide
      icon={Sparkles}
      keys="⇧ F"
      tip="Outline everything that may be an object here; you accept or refuse each"
      onClick={() => void actions.findProposals()}
    >
      Find everything
    </Button>
  );
}
