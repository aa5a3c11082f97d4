// What the official parser finds in the documents whose paths are given: one JSON object a line, severities from 0 (an error) to 3.
import { fromFile, Parser } from "@asyncapi/parser";

for (const path of process.argv.slice(2)) {
  const { document, diagnostics } = await fromFile(new Parser(), path).parse();
  const found = diagnostics.map(({ severity, code, message, path }) => ({ severity, code, message, path: path.join(".") }));
  console.log(JSON.stringify({ parsed: document !== undefined, found }));
}
