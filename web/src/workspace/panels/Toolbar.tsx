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
  Tag,
} from "lucide-react";
import { IconButton } from "../../ui/kit";
import * as actions from "../model/actions";
import { type Tool, useWorkspace } from "../model/store";

const TOOLS: readonly { tool: Tool; label: string; keys: string; icon: LucideIcon }[] = [
  { tool: "click", label: "Click or drag a box", keys: "C", icon: MousePointerClick },
  { tool: "box", label: "Box: drag one around an object", keys: "R", icon: SquareDashedMousePointer },
  { tool: "brush", label: "Brush: paint onto the mask", keys: "B", icon: Brush },
  { tool: "eraser", label: "Eraser: rub out of the mask", keys: "E", icon: Eraser },
  { tool: "lasso", label: "Lasso: draw around a part (Alt removes it)", keys: "L", icon: Lasso },
  { tool: "hand", label: "Move the picture", keys: "H", icon: Hand },
];

export function Toolbar() {
  const tool = useWorkspace((state) => state.tool);
  const clickAdds = useWorkspace((state) => state.clickAdds);
  const masksVisible = useWorkspace((state) => state.masksVisible);
  const namesVisible = useWorkspace((state) => state.namesVisible);
  const compare = useWorkspace((state) => state.compare);
  return (
    <div className="toolbar" role="toolbar" aria-label="Tools" aria-orientation="vertical">
      {TOOLS.map((entry) => (
        <IconButton
          key={entry.tool}
          className="toolbar__tool"
          icon={entry.icon}
          label={entry.label}
          keys={entry.keys}
          pressed={tool === entry.tool}
          onClick={() => actions.setTool(entry.tool)}
        />
      ))}
      <span className="toolbar__divider" />
      <IconButton
        icon={Plus}
        className="toolbar__add"
        label="Clicks add to the mask"
        keys="X"
        pressed={clickAdds}
        onClick={() => actions.setClickAdds(true)}
      />
      <IconButton
        icon={Minus}
        className="toolbar__remove"
        label="Clicks remove from the mask (also: right-click or Alt)"
        keys="X"
        pressed={!clickAdds}
        onClick={() => actions.setClickAdds(false)}
      />
      <span className="toolbar__space" />
      <IconButton
        icon={SquareSplitHorizontal}
        label="Compare before and after"
        keys="Y"
        pressed={compare !== null}
        onClick={actions.toggleCompare}
      />
      <IconButton
        icon={Tag}
        label={namesVisible ? "Hide names on the picture" : "Show names on the picture"}
        keys="⇧ N"
        pressed={namesVisible}
        onClick={actions.toggleNames}
      />
      <IconButton
        icon={masksVisible ? Eye : EyeOff}
        label={masksVisible ? "Hide all masks (hold \\ to hide them briefly)" : "Show masks"}
        keys="M"
        pressed={!masksVisible}
        onClick={actions.toggleMasks}
      />
    </div>
  );
}
