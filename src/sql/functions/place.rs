//! `country(address)` and `city(address)`, by a database that the user has.

use std::{
    collections::HashMap,
    fmt,
    hash::{Hash, Hasher},
    net::IpAddr,
    path::{Path, PathBuf},
    sync::Arc,
};

use datafusion::{
    arrow::datatypes::DataType,
    common::{DataFusionError, Result},
    logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility},
};
use maxminddb::{PathElement, Reader};

use super::{like, of_each, texts};

/// The largest database, in bytes: the largest of MaxMind's has some 130 MB, and it is
/// held whole.
const MAX_DATABASE: u64 = 1 << 30;

/// Where addresses are.
pub(in crate::sql) struct Places {
    reader: Reader<Vec<u8>>,
}

impl fmt::Debug for Places {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Places").finish_non_exhaustive()
    }
}

/// Why a file is no database of places.
#[derive(Debug, thiserror::Error)]
#[error("{}: {why}; name a database in MaxMind's format (.mmdb), such as GeoLite2-City.mmdb", path.display())]
pub struct NoPlaces {
    /// The file.
    pub path: PathBuf,
    why: String,
}

impl Places {
    /// Reads a database, whole.
    ///
    /// # Errors
    /// If the file cannot be read, or is none.
    pub(in crate::sql) fn open(path: &Path) -> std::result::Result<Self, NoPlaces> {
        let no = |why: String| NoPlaces {
            path: path.to_owned(),
            why,
        };
        let size = std::fs::metadata(path).map_err(|error| no(error.to_string()))?;
        if size.len() > MAX_DATABASE {
            return Err(no(format!("{} bytes; at most {MAX_DATABASE}", size.len())));
        }
        let bytes = std::fs::read(path).map_err(|error| no(error.to_string()))?;
        let reader = Reader::from_source(bytes).map_err(|error| no(error.to_string()))?;
        Ok(Self { reader })
    }

    /// What is said of an address there; `None`: nothing, or it is no address.
    fn of(&self, address: &str, path: &[PathElement<'_>]) -> Option<String> {
        let address: IpAddr = address.parse().ok()?;
        let found = self.reader.lookup(address).ok()?;
        found.decode_path(path).ok()?
    }
}

/// What is told of an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum What {
    /// The two letters of its country.
    Country,
    /// The English name of its city.
    City,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct PlaceOf {
    what: What,
    places: Option<Arc<Places>>,
    signature: Signature,
}

impl PlaceOf {
    pub(crate) fn country(places: Option<Arc<Places>>) -> Self {
        Self::new(What::Country, places)
    }

    pub(crate) fn city(places: Option<Arc<Places>>) -> Self {
        Self::new(What::City, places)
    }

    fn new(what: What, places: Option<Arc<Places>>) -> Self {
        Self {
            what,
            places,
            signature: Signature::string(1, Volatility::Immutable),
        }
    }
}

// an engine has one database
impl PartialEq for PlaceOf {
    fn eq(&self, other: &Self) -> bool {
        self.what == other.what
    }
}

impl Eq for PlaceOf {}

impl Hash for PlaceOf {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.what.hash(state);
    }
}

impl ScalarUDFImpl for PlaceOf {
    fn name(&self) -> &str {
        match self.what {
            What::Country => "country",
            What::City => "city",
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8View)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let Some(places) = &self.places else {
            return Err(DataFusionError::Plan(format!(
                "{}() needs a database of places; name one in MaxMind's format with \
                 --sql-places",
                self.name()
            )));
        };
        let country = [PathElement::Key("country"), PathElement::Key("iso_code")];
        let city = [
            PathElement::Key("city"),
            PathElement::Key("names"),
            PathElement::Key("en"),
        ];
        let path = match self.what {
            What::Country => country.as_slice(),
            What::City => &city,
        };
        let [address] = args.args.as_slice() else {
            return Err(crate::sql::error::internal("an address is one text"));
        };
        let is_constant = matches!(address, ColumnarValue::Scalar(_));
        let rows = if is_constant { 1 } else { args.number_rows };
        let addresses = texts(&address.clone().into_array(rows)?)?;
        // a batch has few addresses, each many times
        let mut known: HashMap<&str, Option<String>> = HashMap::new();
        let found = of_each(&addresses, |address| {
            let address = address?;
            let place = known.entry(address);
            place.or_insert_with(|| places.of(address, path)).clone()
        });
        like(&found, is_constant)
    }
}
