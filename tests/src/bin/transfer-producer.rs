//! A producer of transfers: `transfer-producer AT FIRST ADDRESS_FILE`. It ends when its standard input does.

use std::io::Read;
use std::path::PathBuf;

use ottla_tests::transfers::producer;

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [at, first, address] = &words[..] else {
        panic!("transfer-producer AT FIRST ADDRESS_FILE");
    };
    std::thread::spawn(|| {
        let _ = std::io::stdin().read(&mut [0]);
        std::process::exit(0);
    });
    let at = at.parse().expect("a small number");
    let first = first.parse().expect("a number");
    producer::run(at, first, &PathBuf::from(address)).await;
}
