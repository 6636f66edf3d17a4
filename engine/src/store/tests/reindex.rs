//! The index is rebuilt from blobs and keys alone.

use super::*;

#[test]
fn a_snapshot_whose_index_rows_were_lost_is_read_in() {
    let ops = two_backups();
    let first = model(&State::new(), &ops[0]);
    let states = [first.clone(), model(&first, &ops[1])];
    let (bench, _) = Bench::in_memory();
    let (store, domain) = bench.open();
    write(&domain, &ops[0], 1000).unwrap();
    store.checkpoint_wal().unwrap();
    let kept = std::fs::read(bench.index()).unwrap();
    write(&domain, &ops[1], 2000).unwrap();
    drop((store, domain));
    bench.lose_index();
    std::io::Write::write_all(&mut std::fs::File::create(bench.index()).unwrap(), &kept).unwrap();
    assert_eq!(is_whole(&bench, &states), 2);
}
