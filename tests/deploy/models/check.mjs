// Objects on standard input, as JSON: [{object, module}]. Out: what is wrong with each, as JSON.
//
// Two looks at each: the validator that is made from the published schema, for values; and the types
// made from it, by the compiler, for names that it does not have, which a validator lets pass.
import { readFileSync } from "node:fs";
import ts from "typescript";

const given = JSON.parse(readFileSync(0, "utf8"));
const wrong = [];

for (const { object, module } of given) {
  const Model = (await import(module))[object.kind];
  try {
    new Model(object).validate();
  } catch (error) {
    wrong.push(`${object.kind} ${object.metadata.name}: ${error.message}`);
  }
}

const name = "objects.ts";
const source = given
  .map(
    ({ object, module }, at) =>
      `import type { I${object.kind} as T${at} } from ${JSON.stringify(module)};\n` +
      `export const o${at}: T${at} = ${JSON.stringify(object)};\n`,
  )
  .join("");
const options = {
  noEmit: true,
  strict: true,
  skipLibCheck: true,
  module: ts.ModuleKind.NodeNext,
  moduleResolution: ts.ModuleResolutionKind.NodeNext,
};
const host = ts.createCompilerHost(options);
const { fileExists, readFile, getSourceFile } = host;
host.fileExists = (path) => path === name || fileExists(path);
host.readFile = (path) => (path === name ? source : readFile(path));
host.getSourceFile = (path, ...rest) =>
  path === name ? ts.createSourceFile(path, source, ts.ScriptTarget.ESNext) : getSourceFile(path, ...rest);
for (const found of ts.getPreEmitDiagnostics(ts.createProgram([name], options, host))) {
  const line = found.file ? found.file.getLineAndCharacterOfPosition(found.start).line : 0;
  const { object } = given[Math.floor(line / 2)];
  const text = ts.flattenDiagnosticMessageText(found.messageText, " ");
  wrong.push(`${object.kind} ${object.metadata.name}: ${text}`);
}
console.log(JSON.stringify(wrong));
