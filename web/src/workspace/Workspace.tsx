import { ImageOff } from "lucide-react";
import { useEffect } from "react";
import { Header } from "../shell/Header";
import { onReconnected } from "../state/app";
import { go } from "../state/route";
import { Button, Empty, Spinner } from "../ui/kit";
import { Canvas } from "./canvas/Canvas";
import { CanvasBar } from "./canvas/CanvasBar";
import { listenToKeys } from "./keyboard";
import * as actions from "./model/actions";
import { isVideo, useWorkspace } from "./model/store";
import { ClassesPanel } from "./panels/ClassesPanel";
import { CountPanel } from "./panels/CountPanel";
import { ExportDialog } from "./panels/export/ExportDialog";
import { HelpDialog } from "./panels/HelpDialog";
import { ImportDialog } from "./panels/ImportDialog";
import { ObjectsPanel } from "./panels/ObjectsPanel";
import { PhotoPanel } from "./panels/PhotoPanel";
import { ProposalsPanel } from "./panels/ProposalsPanel";
import { Toolbar } from "./panels/Toolbar";
import { TopBar } from "./panels/TopBar";
import { TrackPanel } from "./panels/TrackPanel";
import { Timeline } from "./panels/timeline/Timeline";
import { Transport } from "./panels/timeline/Transport";

export default function Workspace({ pid, mid, startFrame }: { pid: string; mid: string; startFrame: number }) {
  const medium = useWorkspace((state) => state.medium);
  const loadError = useWorkspace((state) => state.loadError);
  const hasTimeline = useWorkspace(isVideo);
  const dialog = useWorkspace((state) => state.dialog);
  const isReviewing = useWorkspace((state) => state.proposals !== null);

  // biome-ignore lint/correctness/useExhaustiveDependencies: opened once; the address follows the frame from then on
  useEffect(() => {
    void actions.openMedium(pid, mid, startFrame);
    const stopKeys = listenToKeys();
    const stopBack = onReconnected(() => void actions.reconnect());
    return () => {
      stopKeys();
      stopBack();
      actions.closeMedium();
    };
  }, [pid, mid]);

  if (loadError) {
    return (
      <>
        <Header />
        <Empty
          icon={ImageOff}
          title="This file cannot be opened"
          action={<Button onClick={() => go({ screen: "project", pid })}>Back to the project</Button>}
        >
          {loadError}
        </Empty>
      </>
    );
  }
  if (!medium || medium.id !== mid) {
    return (
      <div className="screen-centre">
        <Spinner />
      </div>
    );
  }
  return (
    <div className="workspace">
      <TopBar />
      <div className="workspace__middle">
        <Toolbar />
        <main className="workspace__stage">
          <Canvas />
          <CanvasBar />
        </main>
        <aside className="side" aria-label="Objects and tracking">
          <ObjectsPanel />
          <ClassesPanel />
          {isReviewing ? <ProposalsPanel /> : hasTimeline ? <TrackPanel /> : <PhotoPanel />}
          {hasTimeline && !isReviewing && <CountPanel />}
        </aside>
      </div>
      {hasTimeline && (
        <section className="bottom" aria-label="Timeline">
          <Transport />
          <Timeline />
        </section>
      )}
      {dialog === "help" && <HelpDialog onClose={actions.closeDialog} />}
      {dialog === "export" && <ExportDialog onClose={actions.closeDialog} />}
      {dialog === "import" && <ImportDialog onClose={actions.closeDialog} />}
    </div>
  );
}
