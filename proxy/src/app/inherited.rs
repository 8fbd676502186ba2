//! Sockets that were open before this process was: those of its predecessor, or of the service manager. Whoever opens an address
//! asks here first. Every socket is somebody's in the end, or is told of.

use std::env;
use std::fs::File;
use std::io;
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::path::Path;

use listenfd::ListenFd;

use super::upgrade::{Heir, Offer, Place, is_heir};
use crate::config::AdminListen;

/// What a service manager calls a socket of the admin.
const ADMIN: &str = "admin";

/// See the module.
#[derive(Debug, Default)]
pub struct Inherited {
    groups: Vec<Group>,
    heir: Option<Heir>,
    taken: usize,
}

#[derive(Debug)]
struct Group {
    offer: Offer,
    sockets: Vec<OwnedFd>,
}

impl Group {
    /// Of the first one; they differ only where a service manager gave several one name.
    fn address(&self) -> String {
        let socket = self.sockets.first().map(socket2::SockRef::from);
        let address = socket.and_then(|socket| socket.local_addr().ok());
        address.map_or_else(String::new, |address| match (address.as_socket(), address.as_pathname()) {
            (Some(address), _) => address.to_string(),
            (None, Some(path)) => format!("unix:{}", path.display()),
            (None, None) => String::new(),
        })
    }
}

impl Inherited {
    /// What this process was started with. To be asked once, before there is another thread.
    pub fn take() -> io::Result<Self> {
        if is_heir() {
            let mut heir = Heir::receive()?;
            let groups = std::mem::take(&mut heir.offers).into_iter().map(|(offer, sockets)| Group { offer, sockets }).collect();
            return Ok(Self { groups, heir: Some(heir), taken: 0 });
        }
        // Asking for the descriptors makes the environment forget them.
        let names = env::var("LISTEN_FDNAMES").unwrap_or_default();
        let mut names = names.split(':');
        let mut descriptors = ListenFd::from_env();
        let mut groups = Vec::new();
        for index in 0..descriptors.len() {
            let name = names.next().unwrap_or_default().to_owned();
            let socket: OwnedFd = match descriptors.take_tcp_listener(index) {
                Ok(Some(socket)) => socket.into(),
                Ok(None) => continue,
                Err(_) => match descriptors.take_unix_listener(index) {
                    Ok(Some(socket)) => socket.into(),
                    Ok(None) => continue,
                    Err(_) => {
                        let which = index + 3;
                        let message = format!("descriptor {which} (`{name}`) of the service manager is no socket that listens");
                        return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
                    }
                },
            };
            let mut group =
                Group { offer: Offer { place: Place::Activated, name, listen: String::new() }, sockets: vec![socket] };
            group.offer.listen = group.address();
            groups.push(group);
        }
        Ok(Self { groups, heir: None, taken: 0 })
    }

    /// Whether a predecessor hands over.
    pub fn is_heir(&self) -> bool {
        self.heir.is_some()
    }

    /// The lock of a state directory, if the predecessor has this one.
    pub fn lock(&mut self, folder: &Path) -> Option<File> {
        let heir = self.heir.as_mut()?;
        let is_same = heir.state.as_ref().is_some_and(|(held, _)| held == folder);
        if is_same { heir.state.take().map(|(_, lock)| lock) } else { None }
    }

    /// The sockets of a listener: those that it had, or those that bear its name, or its address.
    pub fn listener(&mut self, name: &str, listen: &str, has_port: bool) -> Option<io::Result<Vec<TcpListener>>> {
        let had = |group: &Group, name: Option<&str>| {
            group.offer.place == Place::Listener
                && group.offer.listen == listen
                && name.is_none_or(|name| group.offer.name == name)
        };
        let activated = |group: &Group| group.offer.place == Place::Activated;
        let mut found = self.groups.extract_if(.., |group| had(group, Some(name))).collect::<Vec<_>>();
        if found.is_empty() && has_port {
            found.extend(self.groups.extract_if(.., |group| had(group, None)).next());
        }
        if found.is_empty() {
            found.extend(self.groups.extract_if(.., |group| activated(group) && group.offer.name == name));
        }
        if found.is_empty() {
            found.extend(self.groups.extract_if(.., |group| activated(group) && group.offer.listen == listen));
        }
        self.taken(found).map(|sockets| {
            let ready = |socket: OwnedFd| {
                let socket = TcpListener::from(socket);
                // It answers where it listens, which a socket of another kind does not.
                socket.local_addr()?;
                socket.set_nonblocking(true)?;
                Ok(socket)
            };
            sockets.into_iter().map(ready).collect()
        })
    }

    /// The socket of the admin.
    pub fn admin(&mut self, listen: &AdminListen) -> Option<OwnedFd> {
        let listen = listen.to_string();
        let is_its = |group: &mut Group| match group.offer.place {
            Place::Admin => group.offer.listen == listen,
            Place::Activated => group.offer.name == ADMIN || group.offer.listen == listen,
            Place::Listener | Place::Unknown => false,
        };
        let found = self.groups.extract_if(.., is_its).next();
        self.taken(found.into_iter().collect())?.pop()
    }

    fn taken(&mut self, groups: Vec<Group>) -> Option<Vec<OwnedFd>> {
        let sockets: Vec<_> = groups.into_iter().flat_map(|group| group.sockets).collect();
        self.taken += sockets.len();
        (!sockets.is_empty()).then_some(sockets)
    }

    /// What nobody has asked for.
    pub fn left(&self) -> Vec<String> {
        let told = |group: &Group| format!("{} (`{}`)", group.address(), group.offer.name);
        self.groups.iter().map(told).collect()
    }

    /// Everything is open. Where a predecessor hands over, waits for its word; the sockets that nobody wants are its alone
    /// from here on.
    pub fn ready(&mut self) -> io::Result<()> {
        let unwanted = self.left();
        self.groups.clear();
        match &self.heir {
            Some(heir) => heir.ready(self.taken, unwanted),
            None => Ok(()),
        }
    }

    /// This process serves.
    pub fn serving(&mut self) {
        if let Some(heir) = self.heir.take() {
            heir.serving();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(place: Place, name: &str, listen: &str, count: usize) -> Group {
        let open = |_| TcpListener::bind("127.0.0.1:0").unwrap().into();
        Group {
            offer: Offer { place, name: name.to_owned(), listen: listen.to_owned() },
            sockets: (0..count).map(open).collect(),
        }
    }

    fn inherited(groups: impl IntoIterator<Item = Group>) -> Inherited {
        Inherited { groups: groups.into_iter().collect(), ..Inherited::default() }
    }

    fn count(inherited: &mut Inherited, name: &str, listen: &str) -> usize {
        let has_port = !listen.ends_with(":0");
        inherited.listener(name, listen, has_port).map_or(0, |sockets| sockets.unwrap().len())
    }

    #[test]
    fn a_listener_goes_on_with_all_its_sockets() {
        let mut had = inherited([
            group(Place::Listener, "a", "0.0.0.0:80", 3),
            group(Place::Listener, "b", "127.0.0.1:0", 2),
            group(Place::Listener, "c", "127.0.0.1:0", 1),
            group(Place::Admin, "admin", "127.0.0.1:9901", 1),
            group(Place::Unknown, "d", "0.0.0.0:80", 1),
        ]);
        assert_eq!(count(&mut had, "renamed", "0.0.0.0:80"), 3);
        assert_eq!(count(&mut had, "renamed", "127.0.0.1:0"), 0, "which of them is known by name only");
        assert_eq!(count(&mut had, "c", "127.0.0.1:0"), 1);
        assert!(had.admin(&AdminListen::Address("127.0.0.1:9902".parse().unwrap())).is_none());
        assert!(had.admin(&AdminListen::Address("127.0.0.1:9901".parse().unwrap())).is_some());
        assert_eq!((had.left().len(), had.taken), (2, 5), "`b` and what is of another version");
    }

    #[test]
    fn a_service_manager_names_sockets_or_opens_addresses() {
        let mut activated = inherited([
            group(Place::Activated, "edge", "0.0.0.0:80", 1),
            group(Place::Activated, "edge", "[::]:80", 1),
            group(Place::Activated, "tamis.socket", "0.0.0.0:443", 1),
            group(Place::Activated, "tamis.socket", "0.0.0.0:444", 1),
        ]);
        assert_eq!(count(&mut activated, "edge", "127.0.0.1:1"), 2, "by name, wherever they are");
        assert_eq!(count(&mut activated, "tls", "0.0.0.0:443"), 1, "by address");
        let left = activated.left();
        assert!(left.len() == 1 && left[0].contains("`tamis.socket`"), "{left:?}");
    }
}
