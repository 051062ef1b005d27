//! Who has what: catalogs, roster, placement, selection.
