import { Switch } from "../../../ui/kit";
import { useWorkspace } from "../../model/store";

/** All objects, each with a switch. */
export function ObjectChecks(props: {
  verb: string;
  isOn: (id: number) => boolean;
  onChange: (id: number, isOn: boolean) => void;
}) {
  const objects = useWorkspace((state) => state.objects);
  return (
    <ul className="checks">
      {objects.map(({ id, name, color }) => (
        <li key={id} className="check">
          <span className="timeline__dot" style={{ background: color }} />
          <span className="check__name">{name}</span>
          <Switch
            label={`${props.verb} ${name}`}
            checked={props.isOn(id)}
            onChange={(isOn) => props.onChange(id, isOn)}
          />
        </li>
      ))}
    </ul>
  );
}
