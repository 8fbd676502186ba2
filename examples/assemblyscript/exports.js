// AssemblyScript exports plain identifiers only; the proxy looks for names of the interface.
import { Transform } from "assemblyscript/transform";

const NAMES = {
  configure: "tamis:filter/configure@0.1.0#configure",
  onRequest: "tamis:filter/request-hook@0.1.0#on-request",
};

export default class extends Transform {
  afterCompile(module) {
    for (const [plain, name] of Object.entries(NAMES)) {
      module.addFunctionExport(`filter/${plain}`, name);
      module.removeExport(plain);
    }
  }
}
