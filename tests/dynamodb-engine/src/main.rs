//! Serves an empty DynamoDB on a free loopback port, says which, and ends when its standard input does: with the
//! test run that started it, however that ends.

use dynoxide::{Database, server};
use std::io::Read;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    println!("http://{}", listener.local_addr()?);
    std::thread::spawn(|| {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        std::process::exit(0);
    });
    server::serve_on(listener, Database::memory()?).await;
    Ok(())
}
