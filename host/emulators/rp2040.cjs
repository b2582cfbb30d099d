// Runs an image of a Raspberry Pi Pico in rp2040js, with its lines on unix sockets:
//
//     node rp2040.cjs LINE IMAGE ADDRESS WORD...
//
// The 64-bit words are written to the RAM from the address on, at each reset. The emulated clock runs as fast as the
// instructions allow, and stands still while the processor sleeps and no line has bytes for it.
//
// LINE, the line to the host over USB, is tcp:HOST:PORT or unix:PATH; what follows a comma, as in QEMU's options, is
// ignored. Where it is a path, three more sockets are opened in the same folder:
//
//     uart     the line to the host at UART 0
//     sensor   the line of the sensor, UART 1
//     control  commands, of which those of QEMU's monitor (QMP) that smidgen sends are understood
//
// Each socket serves one connection at a time, and what the board sends without one is lost.
"use strict";

const fs = require("node:fs");
const net = require("node:net");
const path = require("node:path");
// Where `scripts/setup.sh` installs it.
const { RP2040, USBCDC } = require(path.join(__dirname, "../../target/rp2040js/node_modules/rp2040js"));

const FLASH_START = 0x10000000;
const RAM_START = 0x20000000;
// The table of vectors, behind the second boot stage, and the number of its entries.
const VECTORS = 0x100;
const VECTOR_COUNT = 16 + 32;
// Application interrupt and reset control register, and its bit for a reset (SYSRESETREQ).
const AIRCR = 0xd0c;
const RESET_REQUEST = 1 << 2;
const SIE_LINE_STATE_J = 1 << 2;
const CYCLE_NANOS = 8;
// Time of ten bits at 115200 baud.
const BYTE_NANOS = 1e10 / 115200;
// Instructions between two looks at the sockets: some milliseconds.
const LOOK_INSTRUCTIONS = 50_000;
const PACKET_LEN = 64;
// Bytes for which the driver of Linux asks a board: it passes on fewer only after a packet that is not full.
const TRANSFER_LEN = 2 * PACKET_LEN;

// Bytes that wait for their receiver.
class Queue {
  bytes = Buffer.alloc(0);

  get isEmpty() {
    return this.bytes.length === 0;
  }

  push(bytes) {
    this.bytes = Buffer.concat([this.bytes, bytes]);
  }

  // Takes as many bytes as there are, up to `len`.
  take(len) {
    const taken = this.bytes.subarray(0, len);
    this.bytes = this.bytes.subarray(taken.length);
    return taken;
  }
}

// A socket that serves one connection at a time; others wait.
class Line {
  constructor(address, received) {
    this.connection = null;
    this.waiting = [];
    this.received = received;
    this.server = net.createServer((connection) => {
      connection.on("error", () => connection.destroy());
      this.waiting.push(connection);
      this.serveNext();
    });
    // A board that was killed leaves its socket.
    if (typeof address === "string") fs.rmSync(address, { force: true });
    this.server.on("error", fail);
    this.server.listen(address);
  }

  serveNext() {
    if (this.connection || this.waiting.length === 0) return;
    const connection = (this.connection = this.waiting.shift());
    if (connection.destroyed) {
      this.connection = null;
      this.serveNext();
      return;
    }
    connection.on("data", this.received);
    connection.on("close", () => {
      this.connection = null;
      this.serveNext();
    });
  }

  send(bytes) {
    this.connection?.write(bytes);
  }
}

// Feeds a UART at its baud rate, as long as its FIFO has room: a full one makes the sender wait.
class Uart {
  queue = new Queue();
  isFeeding = false;

  constructor(clock, uart, send) {
    this.uart = uart;
    this.alarm = clock.createAlarm(() => this.feed());
    uart.onByte = (byte) => send(Buffer.of(byte));
  }

  push(bytes) {
    this.queue.push(bytes);
    if (!this.isFeeding) this.schedule();
  }

  schedule() {
    this.isFeeding = true;
    this.alarm.schedule(BYTE_NANOS);
  }

  feed() {
    this.isFeeding = false;
    if (this.uart.enabled && !this.uart.rxFIFO.full) this.uart.feedByte(this.queue.take(1)[0]);
    if (!this.queue.isEmpty) this.schedule();
  }
}

// The host of the bus: it enumerates the board, and carries bytes as the driver of Linux does.
class Usb {
  queue = new Queue();
  transfer = new Queue();
  isArmed = false;

  constructor(controller, send) {
    this.controller = controller;
    this.send = send;
    this.cdc = new USBCDC(controller);
    this.cdc.onDeviceConnected = () => this.givePacket();
    this.cdc.onSerialData = (packet) => this.takePacket(Buffer.from(packet));
    controller.onEndpointRead = (endpoint) => this.arm(endpoint);
    const enabled = controller.onUSBEnabled;
    controller.onUSBEnabled = () => {
      // The bus is idle, which the workaround for the erratum RP2040-E5 awaits after a reset of the bus.
      controller.sieStatus |= SIE_LINE_STATE_J;
      enabled();
    };
  }

  push(bytes) {
    this.queue.push(bytes);
    this.givePacket();
  }

  // The board is ready for a packet. A host that has none sends none.
  arm(endpoint) {
    if (endpoint === 0) return;
    this.isArmed = true;
    this.givePacket();
  }

  givePacket() {
    if (!this.isArmed || !this.cdc.initialized || this.queue.isEmpty) return;
    this.isArmed = false;
    this.controller.endpointReadDone(this.cdc.outEndpoint, this.queue.take(PACKET_LEN));
  }

  takePacket(packet) {
    this.transfer.push(packet);
    const isLast = packet.length < PACKET_LEN || this.transfer.bytes.length >= TRANSFER_LEN;
    if (isLast) this.send(this.transfer.take(TRANSFER_LEN));
  }
}

// The board from a reset to the next one.
class Pico {
  isReset = false;

  constructor(segments, injected, ram, send) {
    const chip = (this.chip = new RP2040());
    this.clock = chip.clock;
    const silent = () => {};
    chip.logger = { debug: silent, info: silent, warn: silent, error: silent };
    if (ram) chip.sram.set(ram);
    for (const { start, bytes } of segments) chip.flash.set(bytes, start - FLASH_START);
    chip.sram.set(injected.bytes, injected.start - RAM_START);
    this.watchResets();
    this.start();
    this.usb = new Usb(chip.usbCtrl, (bytes) => send("line", bytes));
    this.uart = new Uart(this.clock, chip.uart[0], (bytes) => send("uart", bytes));
    this.sensor = new Uart(this.clock, chip.uart[1], silent);
  }

  // The emulator leaves out resets that the processor requests.
  watchResets() {
    const { ppb } = this.chip;
    const write = ppb.writeUint32.bind(ppb);
    ppb.writeUint32 = (offset, value) => {
      if (offset === AIRCR && value & RESET_REQUEST) this.isReset = true;
      else write(offset, value);
    };
  }

  // Does what the boot ROM and the second boot stage do, which need not set up an emulated flash.
  start() {
    const { core, flashView } = this.chip;
    core.VTOR = FLASH_START + VECTORS;
    core.SP = flashView.getUint32(VECTORS, true);
    core.PC = flashView.getUint32(VECTORS + 4, true) & ~1;
    // The emulator keeps bit 0 of a vector in the program counter, where it shifts the jump tables of handlers.
    for (let at = VECTORS + 8; at < VECTORS + 4 * VECTOR_COUNT; at += 4) {
      flashView.setUint32(at, flashView.getUint32(at, true) & ~1, true);
    }
  }

  // Runs for a while; returns whether there is more to run before bytes arrive from outside.
  run() {
    const { core } = this.chip;
    const { clock } = this;
    for (let left = LOOK_INSTRUCTIONS; left > 0 && !this.isReset; left--) {
      if (!core.waiting) clock.tick(core.executeInstruction() * CYCLE_NANOS);
      else if (clock.nextAlarm) clock.tick(clock.nanosToNextAlarm);
      else return false;
    }
    return true;
  }
}

// The segments of an ELF file that are flashed.
function flashed(elf) {
  const [table, count] = [elf.readUInt32LE(28), elf.readUInt16LE(44)];
  const headers = Array.from({ length: count }, (_, index) => elf.subarray(table + 32 * index));
  const loaded = headers.filter((header) => header.readUInt32LE(0) === 1 && header.readUInt32LE(16) > 0);
  return loaded.map((header) => {
    const [offset, len] = [header.readUInt32LE(4), header.readUInt32LE(16)];
    return { start: header.readUInt32LE(12), bytes: elf.subarray(offset, offset + len) };
  });
}

// The addresses of the sockets, of which the line to the host is the last: once it is open, so are the others.
function addresses(line) {
  const [kind, ...rest] = line.split(",")[0].split(":");
  if (kind === "tcp") return { line: { host: rest[0], port: Number(rest[1]) } };
  const socket = rest.join(":");
  const beside = (name) => path.join(path.dirname(socket), name);
  return { uart: beside("uart"), sensor: beside("sensor"), control: beside("control"), line: socket };
}

function main([line, image, address, ...words]) {
  const segments = flashed(fs.readFileSync(image));
  const bytes = Buffer.alloc(8 * words.length);
  words.forEach((word, index) => bytes.writeBigUInt64LE(BigInt(word), 8 * index));
  const injected = { start: Number(address), bytes };
  const lines = {};
  const send = (name, sent) => lines[name]?.send(sent);
  const start = (ram) => new Pico(segments, injected, ram, send);
  let pico = start();
  let isRunning = false;
  const run = () => {
    if (pico.isReset) pico = start(pico.chip.sram);
    isRunning = pico.run() || pico.isReset;
    if (isRunning) setImmediate(run);
  };
  const wake = () => {
    if (!isRunning) setImmediate(run);
    isRunning = true;
  };
  const handlers = {
    control: (commands) => {
      for (const command of commands.toString().trim().split("\n")) {
        if (command.includes("system_reset")) pico.isReset = true;
        send("control", '{"return": {}}\n');
      }
    },
    sensor: (received) => pico.sensor.push(received),
    uart: (received) => pico.uart.push(received),
    line: (received) => pico.usb.push(received),
  };
  for (const [name, at] of Object.entries(addresses(line))) {
    lines[name] = new Line(at, (taken) => {
      handlers[name](taken);
      wake();
    });
  }
  wake();
}

// Ends with a line that says why.
function fail(error) {
  console.error(error.message.split("\n")[0]);
  process.exit(1);
}

try {
  main(process.argv.slice(2));
} catch (error) {
  fail(error);
}
