//! How long programs take on the tile interpreter, beside what bounds them. Run by hand, alone:
//! `cargo test --release --test program_timings -- --ignored --nocapture`

#[path = "programs/lanes/mod.rs"]
mod lanes;

use corepy_runtime::backends::{Argument, Options, launch};
use corepy_runtime::kernels::{self, Form};
use corepy_runtime::program::Program;
use corepy_runtime::{Binary, DType, Tensor};
use lanes::{Random, program};
use std::sync::Arc;
use std::time::Instant;

/// The least time of a call in us, of as many as fit into a quarter of a second.
fn least(mut f: impl FnMut()) -> f64 {
    f();
    let (start, mut least) = (Instant::now(), f64::INFINITY);
    while start.elapsed().as_millis() < 250 {
        let call = Instant::now();
        f();
        least = least.min(call.elapsed().as_nanos() as f64 / 1e3);
    }
    least
}

fn floats(n: usize, seed: u64) -> Tensor {
    let out = Tensor::empty("test", &[n as i64], DType::Float32).unwrap();
    let mut random = Random::new(seed);
    for i in 0..n {
        let value = 1.0 + (random.bits() % 1000) as f32 / 1000.0;
        // SAFETY: element i of a new tensor.
        unsafe { out.data().cast::<f32>().add(i).write(value) };
    }
    out
}

fn zeros(shape: &[i64], dtype: DType) -> Tensor {
    let out = Tensor::empty("test", shape, dtype).unwrap();
    // SAFETY: the tensor's own memory.
    unsafe { out.data().write_bytes(0, out.size() * dtype.itemsize()) };
    out
}

fn run(program: &Arc<Program>, arguments: &[Argument], lanes: [i64; 3], block: [i64; 3]) {
    let options = Options { lanes, block, ..Options::lanes(1) };
    launch(program, arguments, &options, "tile").unwrap();
}

fn tensors(all: &[&Tensor]) -> Vec<Argument> {
    all.iter().map(|&t| Argument::Tensor(t.clone())).collect()
}

const ADD: &str = ".kernel add\n.buffer a: in f32[:]\n.buffer b: in f32[:]\n.buffer c: out f32[:]\n\
    ldg.f32 u, a[%gid]\n ldg.f32 v, b[%gid]\n add.f32 w, u, v\n stg.f32 c[%gid], w\n exit";
const GUARDED: &str = ".kernel add\n.buffer a: in f32[:]\n.buffer b: in f32[:]\n.buffer c: out f32[:]\n\
    dim.i64 n, c, 0\n setge.i64 done, %gid, n\n bra done, end\n\
    ldg.f32 u, a[%gid]\n ldg.f32 v, b[%gid]\n add.f32 w, u, v\n stg.f32 c[%gid], w\nend:\n exit";

#[test]
#[ignore = "prints timings"]
fn timings() {
    let empty =
        program(".kernel k\n.buffer a: in f32[:]\n.buffer b: in f32[:]\n.buffer c: out f32[:]\n exit");
    let few = [floats(1, 1), floats(1, 2), floats(1, 3)];
    let arguments = tensors(&[&few[0], &few[1], &few[2]]);
    println!(
        "empty program, three buffers: {:.3} us",
        least(|| run(&empty, &arguments, [1, 1, 1], [256, 1, 1]))
    );
    let add = kernels::binary(Binary::Add, DType::Float32, Form::VectorVector).unwrap();
    for (name, text) in [("add", ADD), ("guarded add", GUARDED)] {
        let p = program(text);
        for n in [256usize, 1024, 4096, 16_384, 1_000_000, 4_000_000, 16_000_000] {
            let [a, b, c] = [floats(n, 1), floats(n, 2), floats(n, 3)];
            let arguments = tensors(&[&a, &b, &c]);
            let time = least(|| run(&p, &arguments, [n as i64, 1, 1], [256, 1, 1]));
            // SAFETY: contiguous tensors of n elements.
            let bound = least(|| unsafe { _ = add(c.data(), a.data(), b.data(), n) });
            println!(
                "{name} {n}: {time:.2} us, kernel alone on one thread {bound:.2}, ratio {:.2}",
                time / bound
            );
        }
    }
    for n in [1_000_000usize, 10_000_000] {
        let p = program(
            ".kernel e\n.buffer a: in f32[:]\n.buffer b: in f32[:]\n.buffer c: out f32[:]\n\
             ldg.f32 u, a[%gid]\n ldg.f32 v, b[%gid]\n mul.f32 w, u, v\n add.f32 w, w, u\n sqrt.f32 w, w\n\
             div.f32 w, w, v\n stg.f32 c[%gid], w\n exit",
        );
        let [a, b, c] = [floats(n, 1), floats(n, 2), floats(n, 3)];
        let time = least(|| run(&p, &tensors(&[&a, &b, &c]), [n as i64, 1, 1], [256, 1, 1]));
        println!("sqrt(a*b + a)/b {n}: {time:.1} us");
    }
    polynomial();
    mandelbrot();
    histogram();
    matmul();
    front_end();
}

fn polynomial() {
    let n = 1_000_000usize;
    let mut text =
        ".kernel p\n.buffer x: in f32[:]\n.buffer y: out f32[:]\nldg.f32 v, x[%gid]\nmov.f32 s, 0.5\n"
            .to_owned();
    for i in 0..64 {
        text += &format!("fma.f32 s, s, v, {}.25\n", i % 7);
    }
    text += "stg.f32 y[%gid], s\nexit";
    let p = program(&text);
    let (x, y) = (floats(n, 1), floats(n, 2));
    let time = least(|| run(&p, &tensors(&[&x, &y]), [n as i64, 1, 1], [256, 1, 1]));
    println!("polynomial of degree 64, {n}: {time:.1} us, {:.1} GFLOP/s", 2.0 * 64.0 * n as f64 / time / 1e3);
}

fn mandelbrot() {
    let text = ".kernel mandelbrot\n.buffer out: out i32[:, :]\n\
        cvt.f32.i64 cx, %gid.x\n mul.f32 cx, cx, 0.003\n sub.f32 cx, cx, 2.0\n\
        cvt.f32.i64 cy, %gid.y\n mul.f32 cy, cy, 0.0025\n sub.f32 cy, cy, 1.25\n\
        mov.f32 zx, 0.0\n mov.f32 zy, 0.0\n mov.i32 count, 0\n\
        loop i, 200\n mul.f32 xx, zx, zx\n mul.f32 yy, zy, zy\n add.f32 r, xx, yy\n setgt.f32 p, r, 4.0\n break p\n\
        mul.f32 xy, zx, zy\n sub.f32 zx, xx, yy\n add.f32 zx, zx, cx\n add.f32 zy, xy, xy\n add.f32 zy, zy, cy\n\
        add.i32 count, count, 1\n endloop\n stg.i32 out[%gid.y, %gid.x], count\n exit";
    let p = program(text);
    let out = zeros(&[1000, 1000], DType::Int32);
    for block in [[256, 1, 1], [16, 16, 1], [32, 8, 1]] {
        let time = least(|| run(&p, &tensors(&[&out]), [1000, 1000, 1], block));
        println!("Mandelbrot 1000 x 1000, 200 rounds, blocks {block:?}: {:.2} ms", time / 1e3);
    }
}

fn histogram() {
    let n = 10_000_000usize;
    let x = Tensor::empty("test", &[n as i64], DType::Int64).unwrap();
    let mut random = Random::new(7);
    for i in 0..n {
        // SAFETY: element i of a new tensor.
        unsafe { x.data().cast::<i64>().add(i).write((random.bits() % 256) as i64) };
    }
    let bins = zeros(&[256], DType::Int64);
    let p = program(
        ".kernel h\n.buffer x: in i64[:]\n.buffer bins: inout i64[:]\n\
         ldg.i64 k, x[%gid]\n red.add.i64 bins[k], 1\n exit",
    );
    let time = least(|| run(&p, &tensors(&[&x, &bins]), [n as i64, 1, 1], [256, 1, 1]));
    println!("histogram of {n} into 256: {:.2} ms", time / 1e3);
}

fn matmul() {
    let text = ".kernel matmul\n.buffer a: in f32[:, :]\n.buffer b: in f32[:, :]\n.buffer c: out f32[:, :]\n\
        .shared ta: f32[16, 16]\n.shared tb: f32[16, 16]\n\
        mov.f32 sum, 0.0\n dim.i64 k, a, 1\n floordiv.i64 tiles, k, 16\n loop t, tiles\n\
        mul.i64 first, t, 16\n add.i64 col, first, %lane.x\n add.i64 row, first, %lane.y\n\
        ldg.f32 v, a[%gid.y, col]\n sts.f32 ta[%lane.y, %lane.x], v\n\
        ldg.f32 v, b[row, %gid.x]\n sts.f32 tb[%lane.y, %lane.x], v\n barrier\n\
        loop j, 16\n lds.f32 u, ta[%lane.y, j]\n lds.f32 v, tb[j, %lane.x]\n fma.f32 sum, u, v, sum\n endloop\n\
        barrier\n endloop\n stg.f32 c[%gid.y, %gid.x], sum\n exit";
    let p = program(text);
    let n = 512usize;
    let square = |t: Tensor| t.view(0, &[n as i64, n as i64], &[4 * n as i64, 4]);
    let [a, b, c] = [1, 2, 3].map(|seed| square(floats(n * n, seed)));
    let time = least(|| run(&p, &tensors(&[&a, &b, &c]), [n as i64, n as i64, 1], [16, 16, 1]));
    println!("tiled matrix product 512: {:.2} ms", time / 1e3);
    let part = Options { lanes: [64, 64, 1], block: [16, 16, 1], ..Options::lanes(1) };
    let start = Instant::now();
    launch(&p, &tensors(&[&a, &b, &c]), &part, "reference").unwrap();
    let reference = start.elapsed().as_nanos() as f64 / 1e6 * 64.0;
    println!("  reference (from 64 x 64 of it): {reference:.0} ms, ratio {:.0}", reference / (time / 1e3));
}

fn front_end() {
    let mut text =
        ".kernel p\n.buffer x: in f32[:]\n.buffer y: out f32[:]\nldg.f32 v, x[%gid]\nmov.f32 s, 0.5\n"
            .to_owned();
    for i in 0..96 {
        text += &format!("fma.f32 s{}, s, v, {}.25\n", i % 5, i);
    }
    text += "stg.f32 y[%gid], s4\nexit";
    let (x, y) = (floats(1, 1), floats(1, 2));
    let arguments = [x, y].map(Argument::Tensor);
    let mut number = 0;
    let parse = least(|| drop(Program::parse(&text).unwrap()));
    let time = least(|| {
        // Another program each time, so that nothing is cached.
        number += 1;
        let p = Arc::new(Program::parse(&text.replace("kernel p", &format!("kernel p{number}"))).unwrap());
        launch(&p, &arguments, &Options::lanes(1), "tile").unwrap();
    });
    println!("100 instructions: parse and verify {parse:.0} us, with decoding and a launch {time:.0} us");
}
