import {
  Brush,
  Eraser,
  Eye,
  EyeOff,
  Hand,
  Lasso,
  type LucideIcon,
  Minus,
  MousePointerClick,
  Plus,
  SquareDashedMousePointer,
  SquareSplitHorizontal,
} from "lucide-react";
import { IconButton } from "../ui/kit";
import * as actions from "./actions";
import { setState, type Tool, useWorkspace } from "./store";

const TOOLS: readonly { tool: Tool; label: string; keys: string; icon: LucideIcon }[] = [
  { tool: "click", label: "Click or drag a box", keys: "C", icon: MousePointerClick },
  { tool: "box", label: "Box", keys: "R", icon: SquareDashedMousePointer },
  { tool: "brush", label: "Brush", keys: "B", icon: Brush },
  { tool: "eraser", label: "Eraser", keys: "E", icon: Eraser },
  { tool: "lasso", label: "Lasso (Alt takes away)", keys: "L", icon: Lasso },
  { tool: "hand", label: "Move the picture", keys: "H", icon: Hand },
];

export function Toolbar() {
  const tool = useWorkspace((state) => state.tool);
  const clickAdds = useWorkspace((state) => state.clickAdds);
  const masksVisible = useWorkspace((state) => state.masksVisible);
  const compare = useWorkspace((state) => state.compare);
  return (
    <div className="toolbar" role="toolbar" aria-label="Tools" aria-orientation="vertical">
      {TOOLS.map((one) => (
        <IconButton
          key={one.tool}
          className="toolbar__tool"
          icon={one.icon}
          label={one.label}
          keys={one.keys}
          pressed={tool === one.tool}
          onClick={() => actions.setTool(one.tool)}
        />
      ))}
      <span className="toolbar__divider" />
      <IconButton
        icon={Plus}
        className="toolbar__add"
        label="A click adds"
        keys="X"
        pressed={clickAdds}
        onClick={() => setState({ clickAdds: true })}
      />
      <IconButton
        icon={Minus}
        className="toolbar__remove"
        label="A click takes away (also: right click, or Alt)"
        keys="X"
        pressed={!clickAdds}
        onClick={() => setState({ clickAdds: false })}
      />
      <span className="toolbar__space" />
      <IconButton
        icon={SquareSplitHorizontal}
        label="Compare: before and now"
        keys="Y"
        pressed={compare !== null}
        onClick={actions.toggleCompare}
      />
      <IconButton
        icon={masksVisible ? Eye : EyeOff}
        label={masksVisible ? "Hide all masks (hold \\ to peek)" : "Show masks"}
        keys="M"
        pressed={!masksVisible}
        onClick={() => setState({ masksVisible: !masksVisible })}
      />
    </div>
  );
}
