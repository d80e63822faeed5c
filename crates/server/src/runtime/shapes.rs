//! Reads that were planned already, by their shape.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use plinth_catalog::Catalog;
use plinth_rest::{Config, Error, Outcome, Prepared, RawRequest, Shape, Template, prepare_rows};

/// Most shapes that are remembered.
const MAX_SHAPES: usize = 512;

/// Places for shapes that were seen once. A shape that meets another one in its place is forgotten.
const SEEN_ONCE: usize = 2048;

/// Templates of the shapes that come again and again.
///
/// A template is made when a shape is seen for the second time, so that shapes that differ from request to request cost
/// no more than a glance. They belong to one snapshot: another catalog plans anew.
pub(super) struct Shapes {
    known: RwLock<HashMap<Box<[u8]>, Known>>,
    seen_once: Box<[AtomicU64]>,
    hasher: RandomState,
}

struct Known {
    /// `None` when requests of this shape are prepared one by one.
    template: Option<Arc<Template>>,
    /// Whether it was asked for since room was last made.
    used: AtomicBool,
}

impl Shapes {
    pub(super) fn new() -> Self {
        Self {
            known: RwLock::default(),
            seen_once: (0..SEEN_ONCE).map(|_| AtomicU64::new(0)).collect(),
            hasher: RandomState::new(),
        }
    }

    /// As [`prepare_rows`].
    ///
    /// # Errors
    ///
    /// As [`prepare_rows`].
    pub(super) fn prepare(
        &self,
        request: &RawRequest<'_>,
        catalog: &Catalog,
        config: &Config,
        parsed_now: impl FnOnce(),
    ) -> Result<Outcome, Error> {
        let Some(shape) = Shape::of(request) else {
            return prepare_rows(request, catalog, config, parsed_now);
        };
        let found = self.find(shape.key());
        if let Some(Some(template)) = &found {
            parsed_now();
            return Ok(Outcome::Query(template.fill(&shape)));
        }
        let outcome = prepare_rows(request, catalog, config, parsed_now)?;
        if let Outcome::Query(prepared) = &outcome
            && found.is_none()
            && self.seen_before(shape.key())
        {
            self.learn(&shape, request, prepared, catalog, config);
        }
        Ok(outcome)
    }

    fn find(&self, key: &[u8]) -> Option<Option<Arc<Template>>> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        let found = known.get(key)?;
        if !found.used.load(Ordering::Relaxed) {
            found.used.store(true, Ordering::Relaxed);
        }
        Some(found.template.clone())
    }

    /// Whether the shape was noted, and notes it.
    fn seen_before(&self, key: &[u8]) -> bool {
        let hash = self.hasher.hash_one(key) | 1;
        // Its lowest bits but the one that says that there is something.
        let place = usize::try_from(hash >> 1).unwrap_or_default() % SEEN_ONCE;
        self.seen_once[place].swap(hash, Ordering::Relaxed) == hash
    }

    fn learn(
        &self,
        shape: &Shape<'_>,
        request: &RawRequest<'_>,
        prepared: &Prepared,
        catalog: &Catalog,
        config: &Config,
    ) {
        let template = Template::of(shape, request, prepared, catalog, config).map(Arc::new);
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MAX_SHAPES {
            known.retain(|_, known| known.used.swap(false, Ordering::Relaxed));
        }
        if known.len() < MAX_SHAPES {
            known.insert(shape.key().into(), Known { template, used: AtomicBool::new(true) });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use http::{HeaderMap, Method};
    use plinth_catalog::{QualifiedName, Relation, RelationKind};

    struct Gateway {
        shapes: Shapes,
        catalog: Catalog,
        config: Config,
    }

    impl Gateway {
        fn new() -> Self {
            let config = Config {
                schemas: vec!["public".to_owned()],
                max_rows: Some(10),
                ..Config::default()
            };
            Self { shapes: Shapes::new(), catalog: catalog(), config }
        }

        /// Whether the request was made of a template, and what came of it.
        fn ask(&self, query: &str) -> (bool, Prepared) {
            let headers = HeaderMap::new();
            let request = RawRequest {
                method: &Method::GET,
                path: "/item",
                query,
                headers: &headers,
                body: Bytes::new(),
                base_path: "/rest/v1",
            };
            let shape = Shape::of(&request).unwrap();
            let found = matches!(self.shapes.find(shape.key()), Some(Some(_)));
            let outcome =
                self.shapes.prepare(&request, &self.catalog, &self.config, || {}).unwrap();
            let Outcome::Query(prepared) = outcome else { panic!("{query} needs no database") };
            let fresh = prepare_rows(&request, &self.catalog, &self.config, || {}).unwrap();
            assert!(matches!(fresh, Outcome::Query(fresh) if fresh == prepared), "{query}");
            (found, prepared)
        }

        fn len(&self) -> usize {
            self.shapes.known.read().unwrap().len()
        }
    }

    fn catalog() -> Catalog {
        let mut catalog = Catalog::default();
        catalog.add_relation(Relation {
            name: QualifiedName::new("public", "item"),
            kind: RelationKind::Table,
            comment: None,
            columns: Default::default(),
            primary_key: Vec::new(),
            insertable: true,
            updatable: true,
            deletable: true,
        });
        catalog
    }

    #[test]
    fn the_third_request_of_a_shape_is_made_of_a_template() {
        let gateway = Gateway::new();
        let found: Vec<bool> = (0..4).map(|id| gateway.ask(&format!("id=eq.{id}")).0).collect();
        assert_eq!(found, [false, false, true, true]);
        assert!(!gateway.ask("id=gt.1").0, "another shape");
        let (_, prepared) = gateway.ask("id=eq.a%26b");
        assert_eq!(prepared.statements[0].params[0].as_deref(), Some(&b"a&b"[..]));
    }

    #[test]
    fn shapes_that_never_come_again_are_not_kept() {
        let gateway = Gateway::new();
        for limit in 0..300 {
            gateway.ask(&format!("limit={limit}"));
        }
        assert_eq!(gateway.len(), 0);
    }

    #[test]
    fn there_are_never_too_many_and_those_in_use_stay() {
        let gateway = Gateway::new();
        for limit in 1..=MAX_SHAPES + 100 {
            for _ in 0..2 {
                gateway.ask(&format!("limit={limit}"));
            }
            gateway.ask("id=eq.1");
            assert!(gateway.len() <= MAX_SHAPES);
        }
        assert!(gateway.ask("id=eq.2").0);
        let last = MAX_SHAPES + 100;
        assert!(gateway.ask(&format!("limit={last}")).0);
        assert!(!gateway.ask("limit=1").0);
    }
}
