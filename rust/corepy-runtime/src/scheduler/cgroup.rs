//! What the machine and the container give this process: processors and memory.

use std::path::{Path, PathBuf};

use super::affinity;

/// Processors that this process may run on at once: its affinity, and the container's quota rounded up.
pub fn processors() -> usize {
    let quota = cpu_quota().map_or(usize::MAX, |quota| quota.processors);
    affinity::processors().min(quota).max(1)
}

/// What a container's group may use of the processors, the tightest of the groups around this process.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Quota {
    /// The quota as whole processors, rounded up.
    pub processors: usize,
    /// Microseconds of processor time in each period of so many microseconds.
    pub quota_us: u64,
    pub period_us: u64,
    /// Where the group says so.
    pub folder: PathBuf,
}

/// The container's quota of processors; None where there is none.
pub fn cpu_quota() -> Option<Quota> {
    Hierarchy::of_this_process().cpu_quota()
}

/// The container's limit of memory in bytes and the folder of the group that has it; None where there
/// is none.
pub fn memory_group() -> Option<(u64, PathBuf)> {
    Hierarchy::of_this_process().memory_limit()
}

/// Processors in the affinity mask of the calling thread.
pub fn affinity() -> usize {
    affinity::processors()
}

/// Processors that the system has online.
pub fn online() -> usize {
    // SAFETY: sysconf reads a number of the system.
    usize::try_from(unsafe { libc::sysconf(libc::_SC_NPROCESSORS_ONLN) }).unwrap_or(1)
}

/// Bytes of memory that this process may use: the container's limit or the machine's memory.
pub fn memory_limit() -> u64 {
    physical_memory().min(memory_group().map_or(u64::MAX, |(limit, _)| limit))
}

/// Bytes that the container's limits leave to this process; None where there are none.
pub fn memory_left() -> Option<u64> {
    Hierarchy::of_this_process().memory_left()
}

/// Bytes of memory that the machine has.
pub fn physical_memory() -> u64 {
    // SAFETY: sysconf reads a constant of the system.
    let pages = unsafe { libc::sysconf(libc::_SC_PHYS_PAGES) };
    u64::try_from(pages).unwrap_or(0).saturating_mul(crate::memory::page_size() as u64)
}

/// Where this process's control groups can be read.
struct Hierarchy {
    v2: Option<Group>,
    v1_cpu: Option<Group>,
    v1_memory: Option<Group>,
}

/// A folder of the hierarchy and the mount that it lies in; limits of every folder between hold.
#[derive(Debug, PartialEq)]
struct Group {
    mount: PathBuf,
    folder: PathBuf,
}

impl Hierarchy {
    fn of_this_process() -> Hierarchy {
        let read = |path| std::fs::read_to_string(path).unwrap_or_default();
        Hierarchy::parse(&read("/proc/self/cgroup"), &read("/proc/self/mountinfo"), Path::new("/"))
    }

    /// `root` stands before every mount point, so that tests can bring their own tree.
    fn parse(membership: &str, mountinfo: &str, root: &Path) -> Hierarchy {
        let find = |controller: &str| -> Option<Group> {
            let path = membership.lines().find_map(|line| {
                let mut fields = line.splitn(3, ':').skip(1);
                let controllers = fields.next()?;
                let path = fields.next()?;
                controllers.split(',').any(|name| name == controller).then_some(path)
            })?;
            mountinfo.lines().find_map(|line| {
                // id parent device root mount options [tags] - type source superoptions
                let (left, right) = line.split_once(" - ")?;
                let left: Vec<&str> = left.split(' ').collect();
                let right: Vec<&str> = right.split(' ').collect();
                let fits = match controller {
                    "" => right.first() == Some(&"cgroup2"),
                    _ => {
                        right.first() == Some(&"cgroup")
                            && right.get(2)?.split(',').any(|option| option == controller)
                    }
                };
                if !fits {
                    return None;
                }
                let mount = root.join(left.get(4)?.trim_start_matches('/'));
                // Inside a container the mount may show only a part of the hierarchy.
                let shown = left.get(3)?.trim_end_matches('/');
                let inside = path.strip_prefix(shown).unwrap_or(path);
                let folder = mount.join(inside.trim_start_matches('/'));
                let folder = if folder.is_dir() { folder } else { mount.clone() };
                Some(Group { mount, folder })
            })
        };
        Hierarchy { v2: find(""), v1_cpu: find("cpu"), v1_memory: find("memory") }
    }

    fn cpu_quota(&self) -> Option<Quota> {
        let v2 = self
            .v2
            .as_ref()
            .and_then(|group| group.smallest(|folder| cpu_max(folder, &read(folder, "cpu.max")?)));
        let v1 = self.v1_cpu.as_ref().and_then(|group| {
            group.smallest(|folder| {
                let quota = read(folder, "cpu.cfs_quota_us")?;
                cpu_max(folder, &format!("{} {}", quota.trim(), read(folder, "cpu.cfs_period_us")?.trim()))
            })
        });
        smaller(v2, v1)
    }

    fn memory_limit(&self) -> Option<(u64, PathBuf)> {
        let limit = |group: &Option<Group>, file| {
            let number = |folder: &Path| read(folder, file)?.trim().parse().ok().filter(is_limit);
            group.as_ref()?.smallest(|folder| Some((number(folder)?, folder.to_owned())))
        };
        smaller(limit(&self.v2, "memory.max"), limit(&self.v1_memory, "memory.limit_in_bytes"))
    }

    fn memory_left(&self) -> Option<u64> {
        let number = |folder: &Path, file| read(folder, file)?.trim().parse::<u64>().ok();
        // Cached files count as used, but make room where memory is needed.
        let left = |folder: &Path, limit, used, cached: &[&str]| {
            let stat = read(folder, "memory.stat").unwrap_or_default();
            let sizes = stat.lines().filter_map(|line| line.split_once(' '));
            let reclaimable = sizes
                .filter(|(name, _)| cached.contains(name))
                .filter_map(|(_, bytes)| bytes.parse::<u64>().ok());
            let used = number(folder, used)?.saturating_sub(reclaimable.sum());
            Some(number(folder, limit).filter(is_limit)?.saturating_sub(used))
        };
        let v2 = self.v2.as_ref().and_then(|group| {
            let cached = ["active_file", "inactive_file", "slab_reclaimable"];
            group.smallest(|folder| left(folder, "memory.max", "memory.current", &cached))
        });
        let v1 = self.v1_memory.as_ref().and_then(|group| {
            let cached = ["total_active_file", "total_inactive_file"];
            group.smallest(|folder| left(folder, "memory.limit_in_bytes", "memory.usage_in_bytes", &cached))
        });
        smaller(v2, v1)
    }
}

/// Version 1 says "no limit" with the largest number of whole pages that 63 bits hold.
fn is_limit(bytes: &u64) -> bool {
    *bytes < 1 << 62
}

fn smaller<T: Ord>(a: Option<T>, b: Option<T>) -> Option<T> {
    a.into_iter().chain(b).min()
}

fn read(folder: &Path, file: &str) -> Option<String> {
    std::fs::read_to_string(folder.join(file)).ok()
}

/// `quota period` in microseconds, as a group's folder says it; None for `max` and -1.
fn cpu_max(folder: &Path, text: &str) -> Option<Quota> {
    let mut fields = text.split_whitespace();
    let quota_us: u64 = fields.next()?.parse().ok()?;
    let period_us: u64 = fields.next()?.parse().ok().filter(|&period| period > 0)?;
    let processors = usize::try_from(quota_us.div_ceil(period_us)).ok()?.max(1);
    Some(Quota { processors, quota_us, period_us, folder: folder.to_owned() })
}

impl Group {
    fn smallest<T: Ord>(&self, value: impl Fn(&Path) -> Option<T>) -> Option<T> {
        self.folder.ancestors().take_while(|folder| folder.starts_with(&self.mount)).filter_map(value).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Tree(PathBuf);

    impl Tree {
        fn new(name: &str, files: &[(&str, &str)]) -> Tree {
            let root = std::env::temp_dir().join(format!("corepy-cgroup-{name}-{}", std::process::id()));
            for (path, text) in files {
                let path = root.join(path);
                std::fs::create_dir_all(path.parent().unwrap()).unwrap();
                std::fs::write(path, text).unwrap();
            }
            Tree(root)
        }
    }

    impl Drop for Tree {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    fn processors_of(hierarchy: &Hierarchy) -> Option<usize> {
        hierarchy.cpu_quota().map(|quota| quota.processors)
    }

    fn memory_of(hierarchy: &Hierarchy) -> Option<u64> {
        hierarchy.memory_limit().map(|(bytes, _)| bytes)
    }

    const V2_MOUNT: &str = "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n";

    #[test]
    fn version_2_takes_the_tightest_of_the_folders_above() {
        let tree = Tree::new(
            "v2",
            &[
                ("sys/fs/cgroup/a/cpu.max", "250000 100000\n"),
                ("sys/fs/cgroup/a/memory.max", "1073741824\n"),
                ("sys/fs/cgroup/a/b/cpu.max", "max 100000\n"),
                ("sys/fs/cgroup/a/b/memory.max", "max\n"),
                ("sys/fs/cgroup/other/cpu.max", "1000 100000\n"),
            ],
        );
        let found = Hierarchy::parse("0::/a/b\n", V2_MOUNT, &tree.0);
        assert_eq!(processors_of(&found), Some(3));
        let folder = tree.0.join("sys/fs/cgroup/a");
        let quota = Quota { processors: 3, quota_us: 250_000, period_us: 100_000, folder: folder.clone() };
        assert_eq!(found.cpu_quota(), Some(quota));
        assert_eq!(found.memory_limit(), Some((1 << 30, folder)));
        assert_eq!(memory_of(&found), Some(1 << 30));
    }

    #[test]
    fn what_is_left_counts_cached_files_as_free() {
        let tree = Tree::new(
            "left",
            &[
                ("sys/fs/cgroup/a/memory.max", "1000000\n"),
                ("sys/fs/cgroup/a/memory.current", "700000\n"),
                (
                    "sys/fs/cgroup/a/memory.stat",
                    "anon 300000\nfile 350000\nactive_file 100000\ninactive_file 200000\n",
                ),
                ("sys/fs/cgroup/a/b/memory.max", "max\n"),
                ("sys/fs/cgroup/a/b/memory.current", "600000\n"),
            ],
        );
        let found = Hierarchy::parse("0::/a/b\n", V2_MOUNT, &tree.0);
        assert_eq!(found.memory_left(), Some(600_000));
        let mounts = "32 24 0:28 / /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n";
        let tree = Tree::new(
            "left1",
            &[
                ("sys/fs/cgroup/memory/memory.limit_in_bytes", "5000\n"),
                ("sys/fs/cgroup/memory/memory.usage_in_bytes", "6000\n"),
                ("sys/fs/cgroup/memory/memory.stat", "total_inactive_file 500\n"),
            ],
        );
        assert_eq!(Hierarchy::parse("5:memory:/\n", mounts, &tree.0).memory_left(), Some(0));
        assert_eq!(Hierarchy::parse("", "", Path::new("/nowhere")).memory_left(), None);
    }

    #[test]
    fn version_2_in_a_container_sees_its_own_root() {
        let tree = Tree::new(
            "v2c",
            &[("sys/fs/cgroup/cpu.max", "50000 100000"), ("sys/fs/cgroup/memory.max", "4096")],
        );
        // The path of the host does not exist below the container's mount.
        let found = Hierarchy::parse("0::/docker/abc\n", V2_MOUNT, &tree.0);
        assert_eq!(processors_of(&found), Some(1));
        assert_eq!(memory_of(&found), Some(4096));
    }

    #[test]
    fn version_1_reads_quota_over_period() {
        let mounts = "31 24 0:27 /docker/abc /sys/fs/cgroup/cpu,cpuacct ro - cgroup cgroup rw,cpu,cpuacct\n\
                      32 24 0:28 /docker/abc /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n";
        let tree = Tree::new(
            "v1",
            &[
                ("sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "400000\n"),
                ("sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us", "100000\n"),
                ("sys/fs/cgroup/memory/memory.limit_in_bytes", "536870912\n"),
            ],
        );
        let membership = "5:memory:/docker/abc\n4:cpuset:/\n3:cpu,cpuacct:/docker/abc\n";
        let found = Hierarchy::parse(membership, mounts, &tree.0);
        assert_eq!(processors_of(&found), Some(4));
        assert_eq!(memory_of(&found), Some(512 << 20));
        let limit = tree.0.join("sys/fs/cgroup/memory/memory.limit_in_bytes");
        std::fs::write(limit, "9223372036854771712\n").unwrap();
        assert_eq!((memory_of(&found), found.memory_left()), (None, None));
        assert!(found.v2.is_none());
    }

    #[test]
    fn no_quota_is_none() {
        let whole = |text| cpu_max(Path::new("/"), text).map(|quota| quota.processors);
        for text in ["max 100000", "-1 100000", "", "100000", "100000 0", "x y"] {
            assert_eq!(cpu_max(Path::new("/"), text), None, "{text}");
        }
        assert_eq!(whole("1 100000"), Some(1));
        assert_eq!(whole("100001 100000"), Some(2));
        assert_eq!(whole("200000 100000"), Some(2));
        let nothing = Hierarchy::parse("", "", Path::new("/nowhere"));
        assert_eq!((nothing.cpu_quota(), nothing.memory_limit()), (None, None));
    }

    #[test]
    fn this_machine_has_a_processor_and_memory() {
        assert!((1..=affinity::processors()).contains(&processors()));
        assert!(memory_limit() > 1 << 20);
    }
}
