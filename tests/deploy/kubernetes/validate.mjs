// Reads [{module, kind, document}] from standard input; prints, for each, what is wrong (or null).
// The argument is the folder in which npm has put the models.
import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";

const answers = [];
for (const { module, kind, document } of JSON.parse(readFileSync(0, "utf8"))) {
  try {
    const where = `${process.argv[2]}/node_modules/${module}/index.js`;
    const models = await import(pathToFileURL(where).href);
    new models[kind](document).validate();
    answers.push(null);
  } catch (error) {
    answers.push(String(error.message || error));
  }
}
process.stdout.write(JSON.stringify(answers));
