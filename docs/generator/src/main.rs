//! Writes the pages of `docs/reference`. Run it with `make reference` after a change of a settings
//! type, a plan, a data set file, a policy or the table of reasons; a test holds the pages against
//! the types.

use eosfed_reference::{folder, pages};

fn main() -> anyhow::Result<()> {
    let folder = folder();
    std::fs::create_dir_all(folder.join("schemas"))?;
    for page in pages()? {
        let path = folder.join(page.file);
        std::fs::write(&path, &page.text)?;
        println!("{}", path.display());
    }
    Ok(())
}
