import { Clapperboard, FileJson } from "lucide-react";
import { useState } from "react";
import { useCatalogue } from "../../../exports/catalogue";
import { Dialog, Segmented, Spinner } from "../../../ui/kit";
import { useWorkspace } from "../../model/store";
import { DataTab } from "./DataTab";
import { EffectsTab } from "./EffectsTab";

type Tab = "effects" | "data";

export function ExportDialog({ onClose }: { onClose: () => void }) {
  const medium = useWorkspace((state) => state.medium);
  const catalogue = useCatalogue();
  const [tab, setTab] = useState<Tab>("effects");
  if (!medium) return null;
  return (
    <Dialog
      title="Export"
      size="wide"
      onClose={onClose}
      head={
        <div className="export__tabs">
          <Segmented<Tab>
            label="What to export"
            value={tab}
            options={[
              {
                value: "effects",
                label: medium.kind === "video" ? "Video with effects" : "Picture with effects",
                icon: Clapperboard,
              },
              { value: "data", label: "Masks and data", icon: FileJson },
            ]}
            onChange={setTab}
          />
        </div>
      }
    >
      {!catalogue ? (
        <div className="screen-centre">
          <Spinner />
        </div>
      ) : tab === "effects" ? (
        <EffectsTab medium={medium} catalogue={catalogue} />
      ) : (
        <DataTab formats={catalogue.formats.filter((format) => format.for.includes(medium.kind))} medium={medium} />
      )}
    </Dialog>
  );
}
