//! The one stylesheet. Nothing in it is fetched, and no font but the reader's own is used.
//!
//! A wide table is a table; where there is no room, each row of `table.rows` is a card whose cells name themselves
//! (`data-l`). Colours come in two sets, and the reader's system chooses.

pub(super) const STYLESHEET: &str = "\
:root{color-scheme:light dark;--ink:#1c2430;--soft:#5b6675;--line:#dde2e9;--ground:#f6f7f9;--paper:#fff;--link:#0b57a8;\
--good:#15703a;--warn:#8a5a00;--bad:#b3261e;--mark:#e8eef6}\
@media (prefers-color-scheme:dark){:root{--ink:#e3e8ef;--soft:#9aa6b5;--line:#303947;--ground:#11161d;--paper:#1a212b;--link:#7db7ff;\
--good:#6fd08c;--warn:#e5b454;--bad:#ff8a80;--mark:#243044}}\
*{box-sizing:border-box}\
body{margin:0 auto;max-width:72rem;padding:1rem 1rem 3rem;background:var(--ground);color:var(--ink);\
font:16px/1.5 system-ui,sans-serif;overflow-wrap:anywhere}\
a{color:var(--link)}nav{color:var(--soft);font-size:.9rem}\
h1{font-size:1.6rem;line-height:1.2;margin:.6rem 0 .3rem}h2{font-size:1.15rem;margin:2rem 0 .6rem}\
h3{font-size:1rem;margin:1rem 0 .3rem}p{margin:.4rem 0}\
.soft,footer{color:var(--soft)}footer{margin-top:2.5rem;padding-top:.8rem;border-top:1px solid var(--line);font-size:.85rem}\
code,pre,.hash{font-family:ui-monospace,monospace;font-size:.85em}\
code{overflow-wrap:anywhere}\
pre{background:var(--paper);border:1px solid var(--line);border-radius:.4rem;padding:.7rem .8rem;margin:.3rem 0;overflow-x:auto;\
-webkit-user-select:all;user-select:all}\
.key{-webkit-user-select:all;user-select:all}\
.figures{display:grid;grid-template-columns:repeat(auto-fit,minmax(9rem,1fr));gap:.6rem;margin:1rem 0;padding:0}\
.figures div{background:var(--paper);border:1px solid var(--line);border-radius:.5rem;padding:.6rem .8rem}\
.figures dt{color:var(--soft);font-size:.85rem}.figures dd{margin:0;font-size:1.25rem;line-height:1.3}\
.figures small{display:block;font-size:.8rem;color:var(--soft)}\
.facts{display:grid;grid-template-columns:minmax(7rem,max-content) 1fr;gap:.35rem 1.2rem;background:var(--paper);\
border:1px solid var(--line);border-radius:.5rem;padding:.8rem;margin:.6rem 0}\
.facts dt{color:var(--soft)}.facts dd{margin:0;min-width:0}\
table{border-collapse:collapse;width:100%;background:var(--paper);border:1px solid var(--line);border-radius:.5rem}\
th{text-align:left;color:var(--soft);font-weight:500;font-size:.85rem}\
th,td{padding:.45rem .8rem;vertical-align:top;border-bottom:1px solid var(--line)}\
tr:last-child td{border-bottom:0}\
.n{text-align:right;white-space:nowrap;font-variant-numeric:tabular-nums}time,.part,.state{white-space:nowrap}\
td small{display:block;color:var(--soft);font-size:.85rem}\
svg.traffic{display:block;width:100%;height:7rem;background:var(--paper);border:1px solid var(--line);border-radius:.5rem;padding:.3rem;\
fill:var(--link)}\
svg.map{display:block;width:100%;background:var(--paper);border:1px solid var(--line);border-radius:.5rem;margin:.6rem 0}\
.map path{fill:var(--line)}.map circle{fill:var(--link);fill-opacity:.75}.map .unused{fill:var(--soft)}\
summary{cursor:pointer;color:var(--link)}\
meter{width:4.5rem;height:.7rem;vertical-align:middle}\
.state{border-radius:1rem;padding:.05rem .55rem;font-size:.85rem;border:1px solid currentColor}\
.good{color:var(--good)}.warn{color:var(--warn)}.bad{color:var(--bad)}.off{color:var(--soft)}\
.tag{background:var(--mark);border-radius:.3rem;padding:.05rem .4rem;font-size:.85rem}\
a.go{display:inline-block;background:var(--link);color:var(--ground);text-decoration:none;border-radius:.4rem;\
padding:.35rem .9rem;margin:.4rem 0}\
.note{border-left:.25rem solid var(--warn);background:var(--paper);padding:.4rem .8rem;margin:.6rem 0}\
.about{font-size:.85rem;color:var(--soft);margin-left:.4rem}\
.listing .hash{font-size:.72rem;color:var(--soft)}\
@media (max-width:44rem){\
.figures{grid-template-columns:1fr 1fr}.facts{display:block}.facts dd{margin-bottom:.5rem}\
table.rows,.rows tbody,.rows tr{display:block}.rows thead{display:none}\
table.rows{background:none;border:0}\
.rows tr{background:var(--paper);border:1px solid var(--line);border-radius:.5rem;padding:.5rem .8rem;margin-bottom:.6rem}\
.rows td{display:flex;justify-content:space-between;gap:1rem;border:0;padding:.12rem 0;text-align:right}\
.rows td[data-l]::before{content:attr(data-l);color:var(--soft);flex:none;text-align:left}\
.rows td:empty{display:none}\
.rows td:first-child{display:block;text-align:left;font-size:1.05rem;padding-bottom:.2rem}\
.listing .hash{display:block;text-align:left}.listing .hash::before{content:none}}";
