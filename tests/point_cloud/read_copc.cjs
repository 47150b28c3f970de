// Reads every node of a COPC file by ranges and prints what is in it, as JSON.
const { open } = require("node:fs/promises");
const { Copc } = require("copc");

const DIMENSIONS = ["X", "Y", "Z", "Red", "Green", "Blue", "Classification", "GpsTime"];

async function main() {
  const file = await open(process.argv[2]);
  const get = async (begin, end) => {
    const buffer = new Uint8Array(end - begin);
    await file.read(buffer, 0, end - begin, begin);
    return buffer;
  };
  const copc = await Copc.create(get);
  const nodes = {};
  const pages = [copc.info.rootHierarchyPage];
  while (pages.length) {
    const found = await Copc.loadHierarchyPage(get, pages.pop());
    pages.push(...Object.values(found.pages));
    for (const [key, node] of Object.entries(found.nodes)) {
      nodes[key] = { count: node.pointCount, sums: await sums(get, copc, node) };
    }
  }
  await file.close();
  process.stdout.write(
    JSON.stringify({ count: copc.header.pointCount, cube: copc.info.cube, spacing: copc.info.spacing, wkt: copc.wkt, nodes })
  );
}

async function sums(get, copc, node) {
  if (!node.pointCount) return null;
  const view = await Copc.loadPointDataView(get, copc, node);
  return DIMENSIONS.map((name) => {
    const value = view.getter(name);
    let total = 0;
    for (let index = 0; index < view.pointCount; index += 1) total += value(index);
    return total;
  });
}

main();
