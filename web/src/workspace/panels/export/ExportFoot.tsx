import { Download } from "lucide-react";
import type { ReactNode } from "react";
import type { Job } from "../../../api/types";
import { isBusy, JobLine } from "../../../exports/JobLine";
import { Button } from "../../../ui/kit";
import { useWorkspace } from "../../model/store";

/** Always in view below the options: the last choices, progress, and the button. */
export function ExportFoot(props: {
  job: Job | null;
  isReady: boolean;
  onCancel: () => void;
  onExport: () => void;
  children: ReactNode;
}) {
  const hasObjects = useWorkspace((state) => state.objects.length > 0);
  return (
    <footer className="export__foot">
      {props.children}
      <JobLine job={props.job} onCancel={props.onCancel} />
      <Button
        variant="primary"
        large
        wide
        icon={Download}
        disabled={isBusy(props.job) || !hasObjects || !props.isReady}
        onClick={props.onExport}
      >
        {hasObjects ? "Export" : "Add an object first"}
      </Button>
    </footer>
  );
}
