//! Seed inputs of the fuzz targets: the golden vectors of the wire format, and small files of every kind.

use super::checkpoint;
use super::wire::TERMS_LEN;
use smidgen_protocol::digest::Draws;
use std::collections::BTreeMap;

const SPECIFICATION: &str = include_str!("../../../protocol/wire-format.md");

/// The examples of the wire format by name: `name =`, then hex until the next name; `#` starts a comment.
fn examples() -> BTreeMap<&'static str, Vec<u8>> {
    let (mut examples, mut name) = (BTreeMap::<_, Vec<u8>>::new(), "");
    let blocks = SPECIFICATION.split("```hex\n").skip(1);
    for line in blocks.flat_map(|block| block.split("```").next().unwrap_or_default().lines()) {
        let mut code = line.split('#').next().unwrap_or_default();
        if let Some((new, rest)) = code.split_once('=') {
            (name, code) = (new.trim(), rest);
        }
        let bytes = code.split_whitespace().map(|hex| u8::from_str_radix(hex, 16).expect("hex"));
        examples.entry(name).or_default().extend(bytes);
    }
    examples
}

fn named(prefix: &str) -> impl Iterator<Item = Vec<u8>> {
    examples().into_iter().filter(move |(name, _)| name.starts_with(prefix)).map(|(_, bytes)| bytes)
}

/// Streams of frames.
pub fn frames() -> Vec<Vec<u8>> {
    let all = named("frame.").collect::<Vec<_>>().concat();
    named("frame.").chain([all]).map(|frame| [&[255], &frame[..]].concat()).collect()
}

/// Payloads, down and up.
pub fn payloads() -> Vec<Vec<u8>> {
    named("down.").chain(named("up.")).collect()
}

/// Bodies, after the numbers that both sides know.
pub fn bodies() -> Vec<Vec<u8>> {
    let packings: [[u8; TERMS_LEN]; 5] = [
        [64, 0, 4, 0, 7, 0, 0, 1, 3, 255],
        [112, 0, 1, 0, 31, 0, 0, 1, 0, 255],
        [0, 16, 100, 0, 3, 0, 0, 1, 4, 5],
        [8, 0, 8, 0, 3, 0, 0, 1, 0, 0],
        [64, 0, 3, 0, 17, 0, 0, 0, 0, 20],
    ];
    let bodies: Vec<_> = named("body.").collect();
    let packed = |packing: [u8; TERMS_LEN]| {
        bodies.iter().map(move |body| [&packing[..], body].concat()).collect::<Vec<_>>()
    };
    packings.into_iter().flat_map(packed).collect()
}

/// Shards, and bytes from which a shard is drawn.
pub fn shards() -> Vec<Vec<u8>> {
    named("shard.").chain(sequences()).collect()
}

/// Bytes of several lengths, from which sequences of events are drawn.
pub fn sequences() -> Vec<Vec<u8>> {
    let mut draws = Draws::new(1);
    let mut bytes = |len| (0..len).map(|_| draws.below(256) as u8).collect();
    [64, 256, 1024, 4096, 4096, 4096, 4096].map(&mut bytes).to_vec()
}

/// Data sets.
pub fn datasets() -> Vec<Vec<u8>> {
    let texts = [
        "+1 1:0.5\t3:-2e-3 # note\r\n\n-1 2:0 4:0\n  1.0\t2:1",
        "1 1:1 2:1\n2 1:1\n3 2:0.25\n1 65535:1\n",
        "-1.5 1:1e308 2:1e-308\n2.5 1:-1e308\n",
        "\u{feff}# nothing\n",
        "x,who,\"y, z\",class\r\n1.5,ann,-2e-3,no\r\n\r\n0,bob,7,\"yes, so\"\r\n3,ann,7,no\r\n",
        "\u{feff}x;1y;target\n1;2,5;?\n4;NaN;1\n",
        "x\twho\tz\n1e308\t1\t7\n-1e308\t1.0\t7\n",
    ];
    let arrays = [
        npy("<f8", false, "(2, 2)", &[1.5, 0.0, -2.0, 1.0].map(f64::to_le_bytes).concat()),
        npy(">i2", true, "(3, 2)", &[0, 7, 1, 0, 255, 3, 0, 1, 0, 0, 0, 1]),
        npy("|u1", false, "(4, 1)", &[1, 2, 3, 4]),
    ];
    texts.map(|text| text.as_bytes().to_vec()).into_iter().chain(arrays).collect()
}

/// An array as numpy.save writes it.
fn npy(descr: &str, is_fortran: bool, shape: &str, elements: &[u8]) -> Vec<u8> {
    let order = if is_fortran { "True" } else { "False" };
    let header = format!("{{'descr': '{descr}', 'fortran_order': {order}, 'shape': {shape}, }}\n");
    let len = (header.len() as u16).to_le_bytes();
    [b"\x93NUMPY\x01\x00", &len[..], header.as_bytes(), elements].concat()
}

/// Files of options.
pub fn configs() -> Vec<Vec<u8>> {
    let texts = [
        "dataset = \"digits\"\nworkers = 4\nk = 4\nvalue-bits = 8\nstep = \"auto\"\n",
        "faults = \"loss=0.2,corrupt=0.05,duplicate=0.1,split\"\nrounds = 5\nlambda = 1e-3\n",
        "method = \"ef21-sgdm:0.5\"\ncompressor = 'natural'\n[table]\nx = [1, 2.5, true]\n",
    ];
    texts.map(|text| text.as_bytes().to_vec()).to_vec()
}

/// Checkpoints.
pub fn checkpoints() -> Vec<Vec<u8>> {
    [1, 2, 9].map(checkpoint::seed).to_vec()
}

/// Models: small ones of each kind.
pub fn models() -> Vec<Vec<u8>> {
    const PERCEPTRON: usize = 32 * 2 + 2 * 33;
    const LAYERS: &str = r#""kind":"units","column_count":2,
        "layers":[{"exponent":3,"mantissas":[5,-4,1]},{"exponent":0,"mantissas":[1,2,3,4]}]"#;
    let scaled =
        r#""names":["a","b"],"scaling":[{"centre":1.5,"scale":2},{"centre":0,"scale":1e-3}]"#;
    let (two, columns) =
        (r#""no","yes""#, |rest: &str| format!(r#""kind":"columns","column_count":2{rest}"#));
    vec![
        model("logistic", two, &columns(&format!(r#",{scaled},"intercept":true,"label":"c""#)), 3),
        model("svm", two, &columns(""), 2),
        model("least-squares", "", &columns(""), 2),
        model("softmax", r#""0","1","x\"y""#, &columns(""), 9),
        model("perceptron", two, r#""kind":"columns","column_count":1"#, PERCEPTRON),
        model("svm", two, LAYERS, 2),
    ]
}

fn model(objective: &str, classes: &str, input: &str, dimension: usize) -> Vec<u8> {
    let list = |number: &str| vec![number; dimension].join(",");
    let (mantissas, values) = (list("3"), list("0.75"));
    let text = format!(
        r#"{{"schema":1,"smidgen":"0","objective":"{objective}","classes":[{classes}],
        "input":{{{input}}},"regulariser":"l2","lambda":0.1,"method":"ef21","round":1,
        "iterate":"last","loss":null,"transcript":"0","dataset":{{"name":"d","rows":1,"checksum":"0"}},
        "dimension":{dimension},"exponent":2,"mantissas":[{mantissas}],"values":[{values}]}}"#
    );
    text.into_bytes()
}

/// Records of runs.
pub fn records() -> Vec<Vec<u8>> {
    vec![RUN.to_vec()]
}

/// The files of a short run, a zero byte between two.
const RUN: &[u8] = include_bytes!("run.records");

/// Mutates a seed.
pub fn mutate(seed: &mut Vec<u8>, other: &[u8], draws: &mut Draws) {
    for _ in 0..=draws.below(6) {
        let place = draws.below(seed.len() as u32 + 1) as usize;
        let end = (place + draws.below(16) as usize).min(seed.len());
        let byte = draws.below(256) as u8;
        match draws.below(7) {
            0 => seed.insert(place, byte),
            1 => drop(seed.drain(place..end)),
            2 => drop(seed.splice(place..end, [*b"\0\x01\x7f\x80\xff-e9"][0])),
            3 if !other.is_empty() => {
                let from = draws.below(other.len() as u32) as usize;
                let until = (from + draws.below(32) as usize).min(other.len());
                drop(seed.splice(place..end, other[from..until].iter().copied()));
            }
            _ if place < seed.len() => match draws.below(3) {
                0 => seed[place] = byte,
                1 => seed[place] ^= 1 << (byte % 8),
                _ => seed[place] = seed[place].wrapping_add(byte % 5).wrapping_sub(2),
            },
            _ => seed.truncate(end),
        }
    }
}
