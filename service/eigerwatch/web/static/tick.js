// Decodes the binary tick: u32 magic, u32 header length, JSON header, typed blocks.

const MAGIC = 0x31545745;
const VIEWS = { u4: Uint32Array, f4: Float32Array, u1: Uint8Array };

export function decodeTick(buffer) {
  const prefix = new DataView(buffer);
  if (buffer.byteLength < 8 || prefix.getUint32(0, true) !== MAGIC) {
    throw new Error("not a tick");
  }
  const length = prefix.getUint32(4, true);
  const header = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 8, length)));
  const blocks = {};
  let position = 8 + length;
  for (const { name, dtype, len } of header.blocks) {
    const View = VIEWS[dtype];
    blocks[name] = new View(buffer, position, len);
    const size = len * View.BYTES_PER_ELEMENT;
    position += size + ((8 - (size % 8)) % 8);
  }
  return { header, blocks };
}
