"""Names, folders and metadata files of a Sentinel-2 product in the SAFE format, as ESA writes them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import PurePosixPath
from typing import Literal

Level = Literal["L1C", "L2A"]

# Position of a band in the metadata's lists (`band_id`).
_BAND_IDS = {
    name: index
    for index, name in enumerate(
        ("B01", "B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B09", "B10", "B11", "B12")
    )
}


@dataclass(frozen=True, kw_only=True)
class Product:
    """What a product's names and metadata are made of."""

    level: Level
    tile: str
    """MGRS tile without the leading T, such as 32TPS."""
    sensed: datetime
    """UTC."""
    platform: str
    """S2A, S2B or S2C."""
    baseline: str
    """Processing baseline, such as 05.11."""
    offset: int
    """Added to a DN before division by 10,000; 0 before baseline 04.00, where the metadata has no such element."""
    epsg: int
    ulx: float
    uly: float
    size: int
    resolution: int
    cloud_cover: float
    sun_zenith: float
    sun_azimuth: float
    orbit: int = 22

    @property
    def id(self) -> str:
        """Product name without .SAFE: the id of a CDSE item."""
        stamp, made = f"{self.sensed:%Y%m%dT%H%M%S}", self.sensed + timedelta(hours=5)
        baseline = self.baseline.replace(".", "")
        return f"{self.platform}_MSI{self.level}_{stamp}_N{baseline}_R{self.orbit:03}_T{self.tile}_{made:%Y%m%dT%H%M%S}"

    @property
    def granule(self) -> PurePosixPath:
        """Folder of the granule, relative to the folder that holds the product."""
        started = self.sensed + timedelta(minutes=3)
        return PurePosixPath(f"{self.id}.SAFE/GRANULE/{self.level}_T{self.tile}_A004242_{started:%Y%m%dT%H%M%S}")

    def image(self, name: str, resolution: int, suffix: str) -> PurePosixPath:
        """Path of a band's or the SCL's file, relative to the folder that holds the product."""
        stem = f"T{self.tile}_{self.sensed:%Y%m%dT%H%M%S}_{name}"
        if self.level == "L1C":
            return self.granule / "IMG_DATA" / f"{stem}{suffix}"
        return self.granule / "IMG_DATA" / f"R{resolution}m" / f"{stem}_{resolution}m{suffix}"

    def metadata(self, images: list[PurePosixPath], ring: list[tuple[float, float]]) -> dict[PurePosixPath, str]:
        """XML files of the product by path; `images` are its files, `ring` the footprint as (lon, lat)."""
        return {
            PurePosixPath(f"{self.id}.SAFE/MTD_MSI{self.level}.xml"): self._product_xml(images, ring),
            self.granule / "MTD_TL.xml": self._tile_xml(),
        }

    def _product_xml(self, images: list[PurePosixPath], ring: list[tuple[float, float]]) -> str:
        level = "Level-1C" if self.level == "L1C" else "Level-2A"
        root = f"n1:{level}_User_Product"
        schema = f"https://psd-14.sentinel2.eo.esa.int/PSD/User_Product_{level}.xsd"
        files = "".join(
            f"            <IMAGE_FILE>{path.relative_to(f'{self.id}.SAFE').with_suffix('')}</IMAGE_FILE>\n"
            for path in images
        )
        positions = " ".join(f"{lat:.12f} {lon:.12f}" for lon, lat in ring)
        spectral = "".join(
            f'        <Spectral_Information bandId="{index}" physicalBand="{name[0]}{name[1:].lstrip("0")}"/>\n'
            for name, index in _BAND_IDS.items()
        )
        moment = f"{self.sensed:%Y-%m-%dT%H:%M:%S}.024Z"
        return f"""<?xml version="1.0" encoding="UTF-8" standalone="no"?>
<{root} xmlns:n1="{schema}" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:schemaLocation="{schema}">
  <n1:General_Info>
    <Product_Info>
      <PRODUCT_START_TIME>{moment}</PRODUCT_START_TIME>
      <PRODUCT_STOP_TIME>{moment}</PRODUCT_STOP_TIME>
      <PRODUCT_URI>{self.id}.SAFE</PRODUCT_URI>
      <PROCESSING_LEVEL>{level}</PROCESSING_LEVEL>
      <PRODUCT_TYPE>S2MSI{self.level[1:]}</PRODUCT_TYPE>
      <PROCESSING_BASELINE>{self.baseline}</PROCESSING_BASELINE>
      <GENERATION_TIME>{self.sensed + timedelta(hours=5):%Y-%m-%dT%H:%M:%S}.000000Z</GENERATION_TIME>
      <Datatake datatakeIdentifier="G{self.platform}_{self.sensed:%Y%m%dT%H%M%S}_004242_N{self.baseline}">
        <SPACECRAFT_NAME>Sentinel-{self.platform[1:]}</SPACECRAFT_NAME>
        <DATATAKE_TYPE>INS-NOBS</DATATAKE_TYPE>
        <DATATAKE_SENSING_START>{moment}</DATATAKE_SENSING_START>
        <SENSING_ORBIT_NUMBER>{self.orbit}</SENSING_ORBIT_NUMBER>
        <SENSING_ORBIT_DIRECTION>DESCENDING</SENSING_ORBIT_DIRECTION>
      </Datatake>
      <Query_Options completeSingleTile="true">
        <PRODUCT_FORMAT>SAFE_COMPACT</PRODUCT_FORMAT>
      </Query_Options>
      <Product_Organisation>
        <Granule_List>
          <Granule granuleIdentifier="{self.platform}_OPER_MSI_{self.level}_TL_2CPS_{self.sensed:%Y%m%dT%H%M%S}_A004242_T{self.tile}_N{self.baseline}" imageFormat="JPEG2000">
{files}          </Granule>
        </Granule_List>
      </Product_Organisation>
    </Product_Info>
    <Product_Image_Characteristics>
      <Special_Values>
        <SPECIAL_VALUE_TEXT>NODATA</SPECIAL_VALUE_TEXT>
        <SPECIAL_VALUE_INDEX>0</SPECIAL_VALUE_INDEX>
      </Special_Values>
      <Special_Values>
        <SPECIAL_VALUE_TEXT>SATURATED</SPECIAL_VALUE_TEXT>
        <SPECIAL_VALUE_INDEX>65535</SPECIAL_VALUE_INDEX>
      </Special_Values>
{self._radiometry_xml()}      <Spectral_Information_List>
{spectral}      </Spectral_Information_List>
    </Product_Image_Characteristics>
  </n1:General_Info>
  <n1:Geometric_Info>
    <Product_Footprint>
      <Product_Footprint>
        <Global_Footprint>
          <EXT_POS_LIST>{positions} </EXT_POS_LIST>
        </Global_Footprint>
      </Product_Footprint>
      <RASTER_CS_TYPE>POINT</RASTER_CS_TYPE>
      <PIXEL_ORIGIN>1</PIXEL_ORIGIN>
    </Product_Footprint>
  </n1:Geometric_Info>
  <n1:Quality_Indicators_Info>
    <Cloud_Coverage_Assessment>{self.cloud_cover:.6f}</Cloud_Coverage_Assessment>
  </n1:Quality_Indicators_Info>
</{root}>
"""

    def _radiometry_xml(self) -> str:
        """Quantification and offsets, whose elements have different names at the two levels."""
        if self.level == "L1C":
            scale = '      <QUANTIFICATION_VALUE unit="none">10000</QUANTIFICATION_VALUE>\n'
            group, name = "Radiometric_Offset_List", "RADIO_ADD_OFFSET"
        else:
            scale = """      <QUANTIFICATION_VALUES_LIST>
        <BOA_QUANTIFICATION_VALUE unit="none">10000</BOA_QUANTIFICATION_VALUE>
        <AOT_QUANTIFICATION_VALUE unit="none">1000.0</AOT_QUANTIFICATION_VALUE>
        <WVP_QUANTIFICATION_VALUE unit="cm">1000.0</WVP_QUANTIFICATION_VALUE>
      </QUANTIFICATION_VALUES_LIST>
"""
            group, name = "BOA_ADD_OFFSET_VALUES_LIST", "BOA_ADD_OFFSET"
        if self.baseline < "04.00":
            return scale
        offsets = "".join(f'        <{name} band_id="{index}">{self.offset}</{name}>\n' for index in _BAND_IDS.values())
        return f"{scale}      <{group}>\n{offsets}      </{group}>\n"

    def _tile_xml(self) -> str:
        root = f"n1:Level-{self.level[1:]}_Tile_ID"
        schema = f"https://psd-14.sentinel2.eo.esa.int/PSD/S2_PDI_Level-{self.level[1:]}_Tile_Metadata.xsd"
        zone = f"{self.epsg % 100}{'N' if self.epsg < 32700 else 'S'}"
        extent = self.size * self.resolution
        grids = sorted({self.resolution, 20, 60})
        sizes = "".join(
            f'      <Size resolution="{step}">\n        <NROWS>{extent // step}</NROWS>\n'
            f"        <NCOLS>{extent // step}</NCOLS>\n      </Size>\n"
            for step in grids
        )
        positions = "".join(
            f'      <Geoposition resolution="{step}">\n        <ULX>{self.ulx:.0f}</ULX>\n        <ULY>{self.uly:.0f}</ULY>\n'
            f"        <XDIM>{step}</XDIM>\n        <YDIM>-{step}</YDIM>\n      </Geoposition>\n"
            for step in grids
        )
        return f"""<?xml version="1.0" encoding="UTF-8" standalone="no"?>
<{root} xmlns:n1="{schema}">
  <n1:General_Info>
    <TILE_ID metadataLevel="Brief">{self.platform}_OPER_MSI_{self.level}_TL_2CPS_{self.sensed:%Y%m%dT%H%M%S}_A004242_T{self.tile}_N{self.baseline}</TILE_ID>
    <SENSING_TIME metadataLevel="Standard">{self.sensed:%Y-%m-%dT%H:%M:%S}.000000Z</SENSING_TIME>
  </n1:General_Info>
  <n1:Geometric_Info>
    <Tile_Geocoding metadataLevel="Brief">
      <HORIZONTAL_CS_NAME>WGS84 / UTM zone {zone}</HORIZONTAL_CS_NAME>
      <HORIZONTAL_CS_CODE>EPSG:{self.epsg}</HORIZONTAL_CS_CODE>
{sizes}{positions}    </Tile_Geocoding>
    <Tile_Angles metadataLevel="Standard">
      <Mean_Sun_Angle>
        <ZENITH_ANGLE unit="deg">{self.sun_zenith}</ZENITH_ANGLE>
        <AZIMUTH_ANGLE unit="deg">{self.sun_azimuth}</AZIMUTH_ANGLE>
      </Mean_Sun_Angle>
    </Tile_Angles>
  </n1:Geometric_Info>
</{root}>
"""
